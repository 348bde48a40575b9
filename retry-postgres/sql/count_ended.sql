-- L13: tasks that ended well, at most $1 of them.
SELECT queue, count(*)
  FROM (SELECT t.queue FROM {schema}.task t WHERE t.state >= 4 AND t.state = 4 ORDER BY t.purge_at LIMIT $1::bigint) t
 GROUP BY queue;
