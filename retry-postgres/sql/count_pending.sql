-- L13: pending tasks, at most $1 of them.
SELECT queue, count(*) FROM (SELECT t.queue FROM {schema}.task t WHERE t.state = 0 ORDER BY t.queue LIMIT $1::bigint) t
 GROUP BY queue;
