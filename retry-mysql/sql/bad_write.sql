-- L14: puts a row that cannot be read aside as failed, for ever. Parameters: version, now, id.
UPDATE retry_task SET state = 5, version = ?, updated_at = ?, session = '', alarm_at = NULL, purge_at = NULL WHERE id = ?
