-- The lanes with pending tasks and their heads, in the order of the index, at most $1: one seek for each.
WITH RECURSIVE h AS (
  (SELECT t.queue, t.kind, t.level, t.run_at FROM {schema}.task t WHERE t.state = 0
    ORDER BY t.queue, t.kind, t.level, t.run_at, t.id LIMIT 1)
  UNION ALL
  SELECT a.* FROM h
   CROSS JOIN LATERAL (SELECT t.queue, t.kind, t.level, t.run_at FROM {schema}.task t
                        WHERE t.state = 0 AND (t.queue, t.kind, t.level) > (h.queue, h.kind, h.level)
                        ORDER BY t.queue, t.kind, t.level, t.run_at, t.id LIMIT 1) a
)
SELECT queue, kind, level, run_at FROM h LIMIT $1::bigint;
