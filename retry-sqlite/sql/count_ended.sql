-- L13: tasks that ended well, at most ?1 of them.
SELECT l.queue, count(*)
  FROM (SELECT lane FROM retry_task INDEXED BY retry_ended WHERE state >= 4 AND state = 4 LIMIT ?1) t
  JOIN retry_lane l ON l.number = t.lane >> 3
 GROUP BY l.queue;
