-- L11: tasks of a session, newest first. Parameters: session, id, limit.
SELECT {hot} FROM retry_task t FORCE INDEX (task_held) WHERE t.session = ? AND t.id < ? ORDER BY t.id DESC LIMIT ?
