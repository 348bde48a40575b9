-- The history of a task, oldest first. Parameter: the id.
SELECT number, attempt FROM retry_failure WHERE id = ? ORDER BY number
