-- Locks a session, and waits for claims under it. Parameter: the id.
SELECT lost FROM retry_session WHERE id = ? FOR UPDATE
