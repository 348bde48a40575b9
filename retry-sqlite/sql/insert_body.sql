-- L12: the body of the task just inserted. ?1 the task's number, ?2 settings, ?3 key scope, ?4 wait secret, ?5 headers,
-- ?6 payload.
INSERT INTO retry_body (number, settings, key_scope, wait_secret, headers, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6);
