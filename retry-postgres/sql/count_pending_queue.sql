-- L13: pending tasks of queue $2, at most $1 of them.
SELECT queue, count(*)
  FROM (SELECT t.queue FROM {schema}.task t WHERE t.state = 0 AND t.queue = $2::text LIMIT $1::bigint) t
 GROUP BY queue;
