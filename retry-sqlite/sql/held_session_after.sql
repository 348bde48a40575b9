-- L13: as held_session, strictly behind. ?1 the session before.
SELECT session FROM retry_task INDEXED BY retry_held WHERE session > ?1 ORDER BY session LIMIT 1;
