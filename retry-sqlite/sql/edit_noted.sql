-- StoreCompletion: the task has a note from now on. ?1 id.
UPDATE retry_task SET noted = 1 WHERE id = ?1;
