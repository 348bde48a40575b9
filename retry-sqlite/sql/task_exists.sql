-- L1: a row means Repeated. ?1 id.
SELECT 1 FROM retry_task WHERE id = ?1;
