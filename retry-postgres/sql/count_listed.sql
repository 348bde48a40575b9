-- L13: tasks of state $2, one of those that are kept in order, at most $1 of them.
SELECT queue, count(*)
  FROM (SELECT t.queue FROM {schema}.task t WHERE t.state IN (2, 3, 5, 6) AND t.state = $2::smallint
         ORDER BY t.id LIMIT $1::bigint) t
 GROUP BY queue;
