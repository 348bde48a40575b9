-- Forgets lost sessions that hold nothing. No parameters.
DELETE FROM {schema}.session s
 WHERE s.lost AND NOT EXISTS (SELECT 1 FROM {schema}.task t WHERE t.session = s.id LIMIT 1);
