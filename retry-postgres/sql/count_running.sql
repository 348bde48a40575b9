-- L13: running tasks, at most $1 of them.
SELECT queue, count(*)
  FROM (SELECT t.queue FROM {schema}.task t WHERE t.session IS NOT NULL ORDER BY t.session LIMIT $1::bigint) t
 GROUP BY queue;
