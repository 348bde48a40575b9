-- Parameter: the id.
DELETE FROM retry_session WHERE id = ?
