-- L9: what a lost or missing session holds. ?1 session, ?2 the id before, ?3 rows.
SELECT t.id, l.queue, l.kind, t.lane & 7 AS level, t.state, t.run_at, t.attempt, t.crashes, t.step, t.version, t.session,
       t.cancel_requested, t.alarm_at, t.purge_at, t.created_at, t.updated_at, t.unique_key, t.holds_key, t.parent,
       t.total, t.open, t.failed, t.number, t.noted, b.settings, b.key_scope, b.wait_secret, n.reruns
  FROM retry_task t INDEXED BY retry_held
  LEFT JOIN retry_lane l ON l.number = t.lane >> 3
  LEFT JOIN retry_body b ON b.number = t.number
  LEFT JOIN retry_note n ON n.number = iif(t.noted, t.number, NULL)
 WHERE t.session = ?1 AND t.id > ?2
 ORDER BY t.id LIMIT ?3;
