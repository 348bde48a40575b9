-- L5: the first task of one lane behind a place; a comparison of pairs would not be used as a range.
-- Parameters: queue, kind, level, time, time, id.
SELECT t.place_at, t.id FROM retry_task t FORCE INDEX (task_place)
 WHERE t.state = 0 AND t.place_name = ? AND t.place_kind = ? AND t.place_level = ?
   AND (t.place_at > ? OR (t.place_at = ? AND t.id > ?))
 ORDER BY t.place_at, t.id LIMIT 1
