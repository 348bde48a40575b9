-- L1, L12: the bodies of new tasks. Parameters of each: id, settings, key scope, wait secret, bytes, headers, payload.
INSERT INTO retry_body (id, settings, key_scope, wait_secret, bytes, headers, payload)
VALUES {row (?, ?, ?, ?, ?, ?, ?)}
