-- L4, L5: a lane from its head on, with everything a handler needs. ?1 lane, ?2 run_at and ?3 id of the head, ?4 rows,
-- ?5 queue and ?6 kind of the lane, so that no row looks for their names. It reads one row more than wanted, due or
-- not, which is then the new head. LEFT joins: a row whose body is gone is reported, not passed over (L14). It ends
-- before the first claim_write: that moves what this walks.
SELECT t.id, ?5 AS queue, ?6 AS kind, t.lane & 7 AS level, t.state, t.run_at, t.attempt, t.crashes, t.step, t.version, t.session,
       t.cancel_requested, t.alarm_at, t.purge_at, t.created_at, t.updated_at, t.unique_key, t.holds_key, t.parent,
       t.total, t.open, t.failed, t.number, t.noted, b.settings, b.key_scope, b.wait_secret, n.reruns,
       b.payload, b.headers, n.checkpoint, n.completion
  FROM retry_task t INDEXED BY retry_ready
  LEFT JOIN retry_body b ON b.number = t.number
  LEFT JOIN retry_note n ON n.number = iif(t.noted, t.number, NULL)
 WHERE t.state = 0 AND t.lane = ?1 AND (t.run_at, t.id) >= (?2, ?3)
 ORDER BY t.run_at, t.id LIMIT ?4;
