-- How the sessions stand. No parameters.
SELECT id, lost, dead FROM retry_session
