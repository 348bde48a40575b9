-- Its tasks whose cancel was requested. Parameters: the id, limit.
SELECT t.id FROM retry_task t FORCE INDEX (task_place)
 WHERE t.state = 1 AND t.place_name = ? AND t.place_kind = '' AND t.place_level = 0 AND t.place_at = 0 AND t.cancel_requested = 1 ORDER BY t.id LIMIT ?
