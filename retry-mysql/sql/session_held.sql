-- How many tasks a session holds, and of how many a cancel was requested; read from the index alone. Parameter: the id.
SELECT COUNT(*), COUNT(IF(t.cancel_requested = 1, 1, NULL)) FROM retry_task t FORCE INDEX (task_place)
 WHERE t.state = 1 AND t.place_name = ?
