-- StoreCompletion: the task has a note from now on. ?1 number.
UPDATE retry_task SET noted = 1 WHERE number = ?1;
