-- The note goes with its task. ?1 number.
DELETE FROM retry_note WHERE number = ?1;
