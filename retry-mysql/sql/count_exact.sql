-- L13: every task, on request. Parameters: the queue or NULL, the same again.
SELECT t.queue, t.state, COUNT(*) FROM retry_task t WHERE (? IS NULL OR t.queue = ?) GROUP BY t.queue, t.state
