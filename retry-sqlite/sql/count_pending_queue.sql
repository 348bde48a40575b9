-- L13: pending tasks of a queue, at most ?1 of them. ?2 queue. One seek for each kind that the queue ever had.
SELECT queue, count(*)
  FROM (SELECT l.queue
          FROM retry_lane l CROSS JOIN retry_task t INDEXED BY retry_ready
         WHERE l.queue = ?2 AND t.state = 0 AND t.lane >= l.number << 3 AND t.lane <= l.number << 3 | 7
         LIMIT ?1)
 GROUP BY queue;
