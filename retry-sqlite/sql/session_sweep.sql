-- Forgets lost sessions that hold nothing. No parameters.
DELETE FROM retry_session
 WHERE lost = 1
   AND NOT EXISTS (SELECT 1 FROM retry_task t INDEXED BY retry_held WHERE t.session = retry_session.id)
RETURNING id;
