-- L15: a row means that the queue is paused. ?1 queue.
SELECT 1 FROM retry_paused WHERE queue = ?1;
