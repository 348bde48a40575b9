-- L13: pending tasks of one queue, within a budget. Parameters: queue, limit.
SELECT c.queue, COUNT(*)
  FROM (SELECT t.queue FROM retry_task t FORCE INDEX (task_ready) WHERE t.ready = 1 AND t.queue = ? LIMIT ?) c
 GROUP BY c.queue
