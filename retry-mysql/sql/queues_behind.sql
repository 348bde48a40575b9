-- The queues with pending tasks behind one. Parameter: the queue.
SELECT DISTINCT t.place_name FROM retry_task t FORCE INDEX (task_place) WHERE t.state = 0 AND t.place_name > ?
