-- L15. Parameter: the queue.
DELETE FROM retry_paused WHERE queue = ?
