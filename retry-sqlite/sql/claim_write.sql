-- L3, L7: the claim. ?1 number, ?2 attempt, ?3 version, ?4 session, ?5 now, ?6 alarm_at.
UPDATE retry_task SET state = 1, attempt = ?2, version = ?3, session = ?4, updated_at = ?5, alarm_at = ?6
 WHERE number = ?1;
