-- L9, L13: the sessions that hold tasks, one seek for each. No parameters.
SELECT DISTINCT t.session FROM retry_task t FORCE INDEX (task_held) WHERE t.session IS NOT NULL
