-- A session's tasks whose cancel was requested, from the index alone. ?1 session, ?2 rows.
SELECT id FROM retry_task INDEXED BY retry_held WHERE session = ?1 AND cancel_requested = 1 ORDER BY id LIMIT ?2;
