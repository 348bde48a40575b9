-- Forgets the oldest failures. ?1 body, ?2 the last place to forget.
DELETE FROM retry_failure WHERE body = ?1 AND number <= ?2;
