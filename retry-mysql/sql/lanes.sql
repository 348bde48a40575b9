-- The lanes with their first due time, one seek for each. Parameter: limit.
SELECT t.queue, t.kind, t.level, MIN(t.run_at) FROM retry_task t FORCE INDEX (task_ready)
 WHERE t.ready = 1 GROUP BY t.queue, t.kind, t.level LIMIT ?
