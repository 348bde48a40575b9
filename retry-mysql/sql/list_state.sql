-- L11: failed or cancelled tasks, newest first. Parameters: state, id, limit.
SELECT {hot} FROM retry_task t FORCE INDEX (task_listed) WHERE t.listed = ? AND t.id < ? ORDER BY t.id DESC LIMIT ?
