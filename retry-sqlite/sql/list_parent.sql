-- As list_newest, among the children of a task. ?1 the id before, ?2 rows, ?3 parent.
SELECT t.id, l.queue, l.kind, t.state, t.run_at, t.created_at, t.unique_key, t.parent, t.session
  FROM retry_task t INDEXED BY retry_child LEFT JOIN retry_lane l ON l.number = t.lane >> 3
 WHERE t.parent = ?3 AND t.id < ?1
 ORDER BY t.id DESC LIMIT ?2;
