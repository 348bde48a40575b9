-- O1, O2: writes a row in the caller's transaction. ?1 id, ?2 time, ?3 body.
INSERT INTO {table} (id, created_at, body) VALUES (?1, ?2, ?3);
