-- L11: children, newest first. Parameters: parent, id, limit.
SELECT {hot} FROM retry_task t FORCE INDEX (task_child) WHERE t.parent = ? AND t.id < ? ORDER BY t.id DESC LIMIT ?
