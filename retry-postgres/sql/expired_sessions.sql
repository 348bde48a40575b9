-- L9: sessions that hold tasks and are lost or missing, from $1 on: one seek for each, and one for each gap between live
-- ones. The entries of live sessions are passed over unseen: an old snapshot keeps those of all tasks that they ever held. Those
-- of sessions that have closed since are walked.
-- Ids are random and have a version, so that none is behind the highest number. Runs after the marks have committed, so that it
-- sees the tasks of every claim that a mark waited for.
WITH RECURSIVE e AS MATERIALIZED (       -- where gaps end
  SELECT s.id FROM {schema}.session s WHERE NOT s.lost AND s.id >= $1::uuid
  UNION ALL
  SELECT 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid
), g AS MATERIALIZED (                   -- the gaps behind live sessions
  SELECT e.id AS low, lead(e.id) OVER (ORDER BY e.id) AS high FROM e
), h (session, high) AS (
  (SELECT a.session, f.id FROM (SELECT e.id FROM e ORDER BY e.id LIMIT 1) f
    CROSS JOIN LATERAL (SELECT t.session FROM {schema}.task t
                         WHERE t.session >= $1::uuid AND t.session < f.id
                         ORDER BY t.session LIMIT 1) a
   UNION ALL
   SELECT a.session, g.high FROM g
    CROSS JOIN LATERAL (SELECT t.session FROM {schema}.task t
                         WHERE t.session > g.low AND t.session < g.high
                         ORDER BY t.session LIMIT 1) a)
  UNION ALL
  SELECT a.session, h.high FROM h
   CROSS JOIN LATERAL (SELECT t.session FROM {schema}.task t
                        WHERE t.session > h.session AND t.session < h.high
                        ORDER BY t.session LIMIT 1) a
)
SELECT h.session, coalesce(s.dead, false)
  FROM h LEFT JOIN {schema}.session s ON s.id = h.session
 ORDER BY h.session;
