-- L13: tasks that ended well, at most ?1 of them.
SELECT queue, count(*) FROM (SELECT queue FROM retry_task INDEXED BY retry_ended WHERE state >= 4 AND state = 4 LIMIT ?1)
 GROUP BY queue;
