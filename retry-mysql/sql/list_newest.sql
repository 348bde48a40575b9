-- L11: tasks, newest first. Parameters: id, limit.
SELECT {hot} FROM retry_task t FORCE INDEX (PRIMARY) WHERE t.id < ? ORDER BY t.id DESC LIMIT ?
