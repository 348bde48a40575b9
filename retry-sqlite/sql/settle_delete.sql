-- L6: as settle_write, for a running task that is forgotten. ?1 number, ?2 id, ?3 version, ?4 nonce.
DELETE FROM retry_task
 WHERE number = ?1 AND id = ?2 AND version = ?3 AND state = 1 AND last_nonce <> ?4 AND parent IS NULL AND noted = 0;
