-- A rerun moves its limits. ?1 number.
SELECT settings FROM retry_body WHERE number = ?1;
