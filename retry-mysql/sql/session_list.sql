-- All sessions. No parameters.
SELECT id, lease_until, lost, dead, name, host, queues, kinds FROM retry_session ORDER BY id
