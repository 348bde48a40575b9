-- L13: tasks of one of the states that are listed, by queue, within a budget. Parameters: state, limit.
SELECT c.queue, COUNT(*)
  FROM (SELECT t.queue FROM retry_task t FORCE INDEX (task_place) WHERE t.state = ? LIMIT ?) c GROUP BY c.queue
