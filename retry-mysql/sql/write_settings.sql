-- Parameters: settings, id.
UPDATE retry_task SET settings = ? WHERE id = ?
