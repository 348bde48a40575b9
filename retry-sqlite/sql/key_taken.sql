-- A rerun retakes its key: who holds it? ?1 the task's number.
SELECT h.id FROM retry_task t CROSS JOIN retry_task h INDEXED BY retry_key
 WHERE t.number = ?1 AND h.holds_key = 1 AND h.unique_key = t.unique_key;
