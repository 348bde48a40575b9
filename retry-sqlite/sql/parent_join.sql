-- L8: a parent whose last child ended: it is due, or its alarm rings. ?1 id, ?2 state, ?3 run_at, ?4 alarm_at, ?5 now.
-- The version stays: the parent's own edits remain valid.
UPDATE retry_task SET state = ?2, run_at = ?3, alarm_at = ?4, updated_at = ?5 WHERE id = ?1;
