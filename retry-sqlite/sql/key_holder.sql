-- L2: who holds a unique key. ?1 kind, ?2 key.
SELECT id, state, body, queue, run_at FROM retry_task INDEXED BY retry_key
 WHERE holds_key = 1 AND kind = ?1 AND unique_key = ?2;
