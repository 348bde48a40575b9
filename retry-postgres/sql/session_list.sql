-- All sessions. No parameters.
SELECT id, lease_until, lost, name, host, queues, kinds FROM {schema}.session ORDER BY id;
