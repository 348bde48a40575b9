-- A new session. ?1 id, ?2 lease_until, ?3 name, ?4 host, ?5 queues, ?6 kinds.
INSERT INTO retry_session (id, lease_until, lost, dead, name, host, queues, kinds) VALUES (?1, ?2, 0, 0, ?3, ?4, ?5, ?6);
