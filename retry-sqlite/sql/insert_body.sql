-- L12: the body of the task just inserted. ?1 settings, ?2 key scope, ?3 wait secret, ?4 headers, ?5 payload.
-- The number is the greatest plus one, as the task has it.
INSERT INTO retry_body (number, settings, key_scope, wait_secret, headers, payload)
VALUES ((SELECT coalesce(max(number), 0) + 1 FROM retry_body), ?1, ?2, ?3, ?4, ?5);
