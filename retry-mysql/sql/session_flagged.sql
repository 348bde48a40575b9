-- Its tasks whose cancel was requested. Parameters: the id, limit.
SELECT t.id FROM retry_task t FORCE INDEX (task_held) WHERE t.session = ? AND t.cancel_requested = 1 ORDER BY t.id LIMIT ?
