-- One row of a listing. ?1 id, ?2 with payload, ?3 with output; what is not asked for is not read.
SELECT t.id, l.queue, l.kind, t.lane & 7 AS level, t.state, t.run_at, t.attempt, t.crashes, t.step, t.version, t.session,
       t.cancel_requested, t.alarm_at, t.purge_at, t.created_at, t.updated_at, t.unique_key, t.holds_key, t.parent,
       t.total, t.open, t.failed, t.number, t.noted, b.settings, b.key_scope, b.wait_secret, n.reruns,
       CASE WHEN ?2 THEN b.payload END, b.headers, n.last_error, n.via_fallback, CASE WHEN ?3 THEN n.output END
  FROM retry_task t
  LEFT JOIN retry_lane l ON l.number = t.lane >> 3
  LEFT JOIN retry_body b ON b.number = t.number
  LEFT JOIN retry_note n ON n.number = iif(t.noted, t.number, NULL)
 WHERE t.id = ?1;
