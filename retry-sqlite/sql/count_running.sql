-- L13: running tasks, at most ?1 of them.
SELECT l.queue, count(*)
  FROM (SELECT lane FROM retry_task INDEXED BY retry_held WHERE session IS NOT NULL LIMIT ?1) t
  JOIN retry_lane l ON l.number = t.lane >> 3
 GROUP BY l.queue;
