-- L13: tasks that succeeded, by queue, within a budget. Parameter: limit.
SELECT c.queue, COUNT(*)
  FROM (SELECT t.queue FROM retry_task t FORCE INDEX (task_place) WHERE t.state = 4 LIMIT ?) c GROUP BY c.queue
