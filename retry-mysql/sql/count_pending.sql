-- L13: pending tasks by queue, within a budget. Parameter: limit.
SELECT c.queue, COUNT(*) FROM (SELECT t.place_name AS queue FROM retry_task t FORCE INDEX (task_place) WHERE t.state = 0 LIMIT ?) c
 GROUP BY c.queue
