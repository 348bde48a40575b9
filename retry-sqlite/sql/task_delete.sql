-- Forgets a task. ?1 id.
DELETE FROM retry_task WHERE id = ?1;
