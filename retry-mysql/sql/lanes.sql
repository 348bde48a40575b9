-- The lanes with their first due time, one seek for each. Parameter: limit.
SELECT t.place_name, t.place_kind, t.place_level, MIN(t.place_at) FROM retry_task t FORCE INDEX (task_place)
 WHERE t.state = 0 GROUP BY t.place_name, t.place_kind, t.place_level LIMIT ?
