-- L9, L13: sessions that hold tasks, behind one, read from a piece of the index. The caller goes on behind the last, so that no
-- more of a session is read than the piece. A DISTINCT would be one seek for each only where the index begins with the
-- session. Parameters: the session, entries.
SELECT t.place_name FROM retry_task t FORCE INDEX (task_place) WHERE t.state = 1 AND t.place_name > ? ORDER BY t.place_name LIMIT ?
