-- The next lane with pending tasks and its head: one seek per lane. ?1 queue, ?2 kind, ?3 level of the lane before.
SELECT queue, kind, level, run_at FROM retry_task INDEXED BY retry_ready
 WHERE state = 0 AND (queue, kind, level) > (?1, ?2, ?3)
 ORDER BY queue, kind, level, run_at, id LIMIT 1;
