-- Counts to the end. $1 queue, NULL for all.
SELECT queue, state, count(*) FROM {schema}.task WHERE $1::text IS NULL OR queue = $1::text GROUP BY queue, state;
