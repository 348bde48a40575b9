-- L15. ?1 queue.
DELETE FROM retry_paused WHERE queue = ?1;
