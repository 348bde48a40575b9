-- L3, L7: the claim of many neighbours in a lane by one statement, which costs half of one for each. ?1 lane, ?2 run_at
-- and ?3 id of the first, ?4 run_at and ?5 id of the last, ?6 session, ?7 now. They were read in the same transaction:
-- none has a deadline, and no number is at its greatest, so what is written is what each would get by itself.
UPDATE retry_task INDEXED BY retry_ready
   SET state = 1, attempt = attempt + 1, version = version + 1, session = ?6, updated_at = ?7, alarm_at = NULL
 WHERE state = 0 AND lane = ?1 AND (run_at, id) >= (?2, ?3) AND (run_at, id) <= (?4, ?5);
