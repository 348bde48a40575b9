-- L13: the next session that holds anything, so one seek for each however much it holds. ?1 the session before.
SELECT session FROM retry_task INDEXED BY retry_held WHERE session >= ?1 ORDER BY session LIMIT 1;
