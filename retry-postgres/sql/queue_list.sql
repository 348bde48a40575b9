-- The queues with pending tasks: one seek for each. No parameters.
WITH RECURSIVE h (queue) AS (
  (SELECT t.queue FROM {schema}.task t WHERE t.state = 0 ORDER BY t.queue LIMIT 1)
  UNION ALL
  SELECT (SELECT t.queue FROM {schema}.task t WHERE t.state = 0 AND t.queue > h.queue ORDER BY t.queue LIMIT 1)
    FROM h WHERE h.queue IS NOT NULL
)
SELECT queue FROM h WHERE queue IS NOT NULL;
