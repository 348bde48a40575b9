-- L14: a row that cannot be read is put aside as failed; it keeps no lane, lease, alarm, key or purge time.
-- ?1 number, ?2 version, ?3 now.
UPDATE retry_task SET state = 5, version = ?2, session = NULL, alarm_at = NULL, purge_at = NULL, holds_key = 0,
       updated_at = ?3 WHERE number = ?1;
