-- Forgets a task. ?1 number.
DELETE FROM retry_task WHERE number = ?1;
