-- L1, L12: bodies that have no room in the rows of their tasks. Parameters of each: id, headers, payload.
INSERT INTO retry_body (id, headers, payload) VALUES {row (?, ?, ?)}
