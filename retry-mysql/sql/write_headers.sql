-- New headers; the payload stays. Parameters: headers, their bytes, id.
UPDATE retry_body SET headers = ?, bytes = ? + OCTET_LENGTH(payload) WHERE id = ?
