-- L9: tasks of a lost session, by id. Parameters: session, id, limit.
SELECT {hot}, {cold}
  FROM (SELECT h.id FROM retry_task h FORCE INDEX (task_place)
         WHERE h.state = 1 AND h.place_name = ? AND h.place_kind = '' AND h.place_level = 0 AND h.place_at = 0 AND h.id > ? ORDER BY h.id LIMIT ?) p
  STRAIGHT_JOIN retry_task t FORCE INDEX (PRIMARY) ON t.id = p.id
  LEFT JOIN retry_note n FORCE INDEX (PRIMARY) ON n.id = t.id
