-- The history, oldest first. ?1 body.
SELECT attempt FROM retry_failure WHERE body = ?1 ORDER BY number;
