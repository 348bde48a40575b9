-- A new body, NULL for one that is kept apart. Parameters: bytes, headers, payload, id.
UPDATE retry_task SET bytes = ?, headers = ?, payload = ? WHERE id = ?
