-- Forgets one, also on a connection without a database, where a DELETE with an alias is refused. Parameter: the id.
DELETE FROM retry_body WHERE id = ?
