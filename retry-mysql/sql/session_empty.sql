-- Lost sessions that hold nothing; they will never hold anything again. No parameters.
SELECT s.id FROM retry_session s
 WHERE s.lost = 1 AND NOT EXISTS (SELECT 1 FROM retry_task t FORCE INDEX (task_place) WHERE t.state = 1 AND t.place_name = s.id)
