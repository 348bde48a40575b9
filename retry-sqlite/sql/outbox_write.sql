-- O1, O2: writes a row in the caller's transaction. ?1 id, ?2 kind, ?3 time, ?4 body.
INSERT INTO {table} (id, kind, created_at, body) VALUES (?1, ?2, ?3, ?4);
