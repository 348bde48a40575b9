-- The body goes with its task. ?1 number.
DELETE FROM retry_body WHERE number = ?1;
