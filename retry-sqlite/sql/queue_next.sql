-- The next queue with pending tasks. ?1 the queue before.
SELECT queue FROM retry_task INDEXED BY retry_ready WHERE state = 0 AND queue > ?1 ORDER BY queue LIMIT 1;
