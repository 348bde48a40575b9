-- How many tasks a session holds, from the index alone. ?1 session.
SELECT count(*) FROM retry_task INDEXED BY retry_held WHERE session = ?1;
