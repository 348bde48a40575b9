-- L6, L8: as edit_lock, for who holds locks already that stand behind some of these in the order: it waits for nobody. $1 ids.
SELECT t.id, t.version, t.state, t.last_nonce, t.cancel_requested, t.holds_key, t.level, t.step, t.run_at, t.attempt,
       t.crashes, t.session, t.alarm_at, t.purge_at, t.updated_at, t.total, t.open, t.failed, t.noted, t.bytes,
       t.parent, t.queue, t.kind, t.unique_key
  FROM {schema}.task t
 WHERE t.id = ANY ($1::uuid[] || ARRAY (SELECT c.parent FROM {schema}.task c WHERE c.id = ANY ($1::uuid[])))
 ORDER BY t.id FOR NO KEY UPDATE NOWAIT;
