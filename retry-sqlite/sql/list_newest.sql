-- L11, L13: candidates of a listing, newest first; the filter is applied to them, the rest is read for what passes.
-- ?1 the id before, ?2 rows.
SELECT t.id, l.queue, l.kind, t.state, t.run_at, t.created_at, t.unique_key, t.parent, t.session
  FROM retry_task t INDEXED BY retry_id LEFT JOIN retry_lane l ON l.number = t.lane >> 3
 WHERE t.id < ?1
 ORDER BY t.id DESC LIMIT ?2;
