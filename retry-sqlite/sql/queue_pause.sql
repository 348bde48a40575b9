-- L15. ?1 queue.
INSERT INTO retry_paused (queue) VALUES (?1) ON CONFLICT DO NOTHING;
