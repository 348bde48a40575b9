-- L5: the head of one lane behind a position. ?1 queue, ?2 kind, ?3 level, ?4 run_at, ?5 id.
SELECT run_at, id FROM retry_task INDEXED BY retry_ready
 WHERE state = 0 AND queue = ?1 AND kind = ?2 AND level = ?3 AND (run_at, id) > (?4, ?5)
 ORDER BY run_at, id LIMIT 1;
