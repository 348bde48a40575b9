-- The number of a queue and a kind that had none. ?1 queue, ?2 kind.
INSERT INTO retry_lane (queue, kind) VALUES (?1, ?2);
