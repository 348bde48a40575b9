-- Parameters: settings, id.
UPDATE retry_body SET settings = ? WHERE id = ?
