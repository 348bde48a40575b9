-- L15. $1 queue.
INSERT INTO {schema}.paused (queue) VALUES ($1::text) ON CONFLICT DO NOTHING;
