-- L6: a `Set`, all values absolute. ?1 number, ?2 state, ?3 run_at, ?4 attempt, ?5 crashes, ?6 whether there are any,
-- ?7 step, ?8 session, ?9 cancel_requested, ?10 alarm_at, ?11 purge_at, ?12 holds_key, ?13 now, ?14 total, ?15 open,
-- ?16 version, ?17 nonce, ?18 noted. The guard is edit_read in the same transaction: no other writer comes between.
UPDATE retry_task
   SET state = ?2, run_at = ?3, attempt = ?4, crashes = ?5, lane = (lane & ~1) | ?6, step = ?7, session = ?8,
       cancel_requested = ?9, alarm_at = ?10, purge_at = ?11, holds_key = ?12, updated_at = ?13, total = ?14, open = ?15,
       version = ?16, last_nonce = ?17, noted = ?18
 WHERE number = ?1;
