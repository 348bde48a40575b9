-- L13: tasks of one of the states that are kept in order, at most ?1 of them. ?2 state.
SELECT l.queue, count(*)
  FROM (SELECT lane FROM retry_task INDEXED BY retry_listed WHERE state >= 2 AND state <> 4 AND state = ?2 LIMIT ?1) t
  JOIN retry_lane l ON l.number = t.lane >> 3
 GROUP BY l.queue;
