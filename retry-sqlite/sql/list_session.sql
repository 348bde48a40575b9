-- As list_newest, among what a session holds. ?1 the id before, ?2 rows, ?3 session.
SELECT t.id, l.queue, l.kind, t.state, t.run_at, t.created_at, t.unique_key, t.parent, t.session
  FROM retry_task t INDEXED BY retry_held LEFT JOIN retry_lane l ON l.number = t.lane >> 3
 WHERE t.session = ?3 AND t.id < ?1
 ORDER BY t.id DESC LIMIT ?2;
