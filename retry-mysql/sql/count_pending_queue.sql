-- L13: pending tasks of one queue, within a budget. Parameters: queue, limit.
SELECT c.queue, COUNT(*)
  FROM (SELECT t.place_name AS queue FROM retry_task t FORCE INDEX (task_place) WHERE t.state = 0 AND t.place_name = ? LIMIT ?) c
 GROUP BY c.queue
