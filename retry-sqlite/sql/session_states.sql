-- Which sessions may hold tasks; one row per worker, so it is read whole. No parameters.
SELECT id, lease_until, lost, dead FROM retry_session ORDER BY id;
