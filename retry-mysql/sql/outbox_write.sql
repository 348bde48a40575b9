-- O1, O2: writes rows in the caller's transaction, numbered in their order. Parameters of each row: id, kind, time, body.
INSERT INTO {table} (id, kind, created_at, body) VALUES {row (?, ?, ?, ?)}
