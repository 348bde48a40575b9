-- L13: running tasks, at most ?1 of them.
SELECT queue, count(*) FROM (SELECT queue FROM retry_task INDEXED BY retry_held WHERE session IS NOT NULL LIMIT ?1)
 GROUP BY queue;
