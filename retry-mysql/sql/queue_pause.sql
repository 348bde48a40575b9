-- L15. Parameter: the queue. Twice is once.
INSERT INTO retry_paused (queue) VALUES (?) ON DUPLICATE KEY UPDATE queue = VALUES(queue)
