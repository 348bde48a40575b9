-- Whether a session holds a task. ?1 session.
SELECT 1 FROM retry_task INDEXED BY retry_held WHERE session = ?1 LIMIT 1;
