-- L13: pending tasks by queue, within a budget. Parameter: limit.
SELECT c.queue, COUNT(*) FROM (SELECT t.queue FROM retry_task t FORCE INDEX (task_ready) WHERE t.ready = 1 LIMIT ?) c
 GROUP BY c.queue
