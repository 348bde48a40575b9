-- L13: pending tasks, at most ?1 of them.
SELECT queue, count(*) FROM (SELECT queue FROM retry_task INDEXED BY retry_ready WHERE state = 0 LIMIT ?1) GROUP BY queue;
