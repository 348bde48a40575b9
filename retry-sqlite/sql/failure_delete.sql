-- The history goes with its task. ?1 body.
DELETE FROM retry_failure WHERE body = ?1;
