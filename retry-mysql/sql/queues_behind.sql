-- The queues with pending tasks behind one. Parameter: the queue.
SELECT DISTINCT t.queue FROM retry_task t FORCE INDEX (task_ready) WHERE t.ready = 1 AND t.queue > ?
