-- The newest id: one seek. It grows when a task is inserted. No parameters.
SELECT MAX(t.id) FROM retry_task t
