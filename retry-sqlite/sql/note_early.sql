-- Whether an early completion is stored. ?1 number.
SELECT 1 FROM retry_note WHERE number = ?1 AND early IS NOT NULL;
