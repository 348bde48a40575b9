-- As list_newest, in one of the states that are kept in order. ?1 the id before, ?2 rows, ?3 state.
SELECT t.id, l.queue, l.kind, t.state, t.run_at, t.created_at, t.unique_key, t.parent, t.session
  FROM retry_task t INDEXED BY retry_listed LEFT JOIN retry_lane l ON l.number = t.lane >> 3
 WHERE t.state >= 2 AND t.state <> 4 AND t.state = ?3 AND t.id < ?1
 ORDER BY t.id DESC LIMIT ?2;
