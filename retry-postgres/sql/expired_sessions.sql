-- L9: sessions that hold tasks and are lost or missing, from $1 on: one seek for each session that holds tasks. Runs after
-- the marks have committed, so that it sees the tasks of every claim that a mark waited for.
WITH RECURSIVE h (s) AS (
  (SELECT t.session FROM {schema}.task t WHERE t.session >= $1::uuid ORDER BY t.session LIMIT 1)
  UNION ALL
  SELECT (SELECT t.session FROM {schema}.task t WHERE t.session > h.s ORDER BY t.session LIMIT 1)
    FROM h WHERE h.s IS NOT NULL
)
SELECT h.s, coalesce(s.dead, false)
  FROM h LEFT JOIN {schema}.session s ON s.id = h.s
 WHERE h.s IS NOT NULL AND (s.id IS NULL OR s.lost)
 ORDER BY h.s;
