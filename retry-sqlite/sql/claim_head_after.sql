-- L5: the head of one lane behind a position. ?1 lane, ?2 run_at, ?3 id.
SELECT run_at, id FROM retry_task INDEXED BY retry_ready
 WHERE state = 0 AND lane = ?1 AND (run_at, id) > (?2, ?3)
 ORDER BY run_at, id LIMIT 1;
