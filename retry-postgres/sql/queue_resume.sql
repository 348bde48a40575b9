-- L15. $1 queue.
DELETE FROM {schema}.paused WHERE queue = $1::text;
