-- L5: the first task of one lane behind a place; a comparison of pairs would not be used as a range.
-- Parameters: queue, kind, level, time, time, id.
SELECT t.run_at, t.id FROM retry_task t FORCE INDEX (task_ready)
 WHERE t.ready = 1 AND t.queue = ? AND t.kind = ? AND t.level = ? AND (t.run_at > ? OR (t.run_at = ? AND t.id > ?))
 ORDER BY t.run_at, t.id LIMIT 1
