-- L6: a `Set` of a running task that is as almost all are: no parent, children, key, note or wish to cancel. Then the
-- guard fits into the write and nothing is read before. 0 rows: edit_read finds out why. ?1 number and ?2 id, because
-- numbers are used again, ?3 the version before, ?4 nonce, ?5 state, ?6 run_at, ?7 attempt, ?8 crashes, ?9 whether there
-- are any, ?10 step, ?11 session, ?12 alarm_at, ?13 purge_at, ?14 now.
UPDATE retry_task
   SET state = ?5, run_at = ?6, attempt = ?7, crashes = ?8, lane = (lane & ~1) | ?9, step = ?10, session = ?11,
       alarm_at = ?12, purge_at = ?13, updated_at = ?14, version = ?3 + 1, last_nonce = ?4
 WHERE number = ?1 AND id = ?2 AND version = ?3 AND state = 1 AND last_nonce <> ?4 AND cancel_requested = 0
   AND parent IS NULL AND total = 0 AND holds_key = 0 AND noted = 0;
