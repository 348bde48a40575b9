-- L13: pending tasks of a queue, at most ?1 of them. ?2 queue.
SELECT queue, count(*) FROM (SELECT queue FROM retry_task INDEXED BY retry_ready WHERE state = 0 AND queue = ?2 LIMIT ?1)
 GROUP BY queue;
