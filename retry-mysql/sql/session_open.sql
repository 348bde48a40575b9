-- L9: a new session. Parameters: id, lease_until, name, host, queues, kinds.
INSERT INTO retry_session (id, lease_until, lost, dead, name, host, queues, kinds) VALUES (?, ?, 0, 0, ?, ?, ?, ?)
