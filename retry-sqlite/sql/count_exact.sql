-- Counts to the end. ?1 queue, NULL for all.
SELECT queue, state, count(*) FROM retry_task WHERE ?1 IS NULL OR queue = ?1 GROUP BY queue, state;
