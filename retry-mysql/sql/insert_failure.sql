-- Failed attempts. Parameters of each: id, number, attempt.
INSERT INTO retry_failure (id, number, attempt) VALUES {row (?, ?, ?)}
