-- A new payload; the headers stay. Parameters: payload, its bytes, id.
UPDATE retry_body SET payload = ?, bytes = ? + COALESCE(OCTET_LENGTH(headers), 0) WHERE id = ?
