-- L11: waiting or joining tasks, newest first. Parameters: state, id, limit.
SELECT {hot} FROM retry_task t FORCE INDEX (task_place)
 WHERE t.state = ? AND t.place_name = '' AND t.place_kind = '' AND t.place_level = 0 AND t.place_at = 0 AND t.id < ? ORDER BY t.id DESC LIMIT ?
