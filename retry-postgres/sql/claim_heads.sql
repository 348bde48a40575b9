-- L5, L9, L15: whether the session may claim, locked against being marked until we commit; whether the queue is paused; and
-- the heads of the lanes that exist, unlocked, due or not. One seek for each lane and one more for each kind. $1 session,
-- $2 queue, $3 kinds, $4 whether to look at a paused queue as well. Answers at least one row; without lanes its place in the kinds is NULL.
WITH RECURSIVE s AS MATERIALIZED (
  SELECT 1 AS live FROM {schema}.session WHERE id = $1::uuid AND NOT lost FOR KEY SHARE
), p AS MATERIALIZED (
  SELECT EXISTS (SELECT 1 FROM {schema}.paused WHERE queue = $2::text) AS paused
), h AS (
  SELECT k.n, k.kind, a.level, a.run_at, a.id
    FROM unnest($3::text[]) WITH ORDINALITY AS k (kind, n)
   CROSS JOIN LATERAL (SELECT t.level, t.run_at, t.id FROM {schema}.task t
                        WHERE t.state = 0 AND t.queue = $2::text AND t.kind = k.kind AND t.level >= 0
                        ORDER BY t.level, t.run_at, t.id LIMIT 1) a
   WHERE $4::boolean OR NOT (SELECT p.paused FROM p)
  UNION ALL
  SELECT h.n, h.kind, a.level, a.run_at, a.id FROM h
   CROSS JOIN LATERAL (SELECT t.level, t.run_at, t.id FROM {schema}.task t
                        WHERE t.state = 0 AND t.queue = $2::text AND t.kind = h.kind AND t.level > h.level
                        ORDER BY t.level, t.run_at, t.id LIMIT 1) a
)
SELECT s.live IS NOT NULL, p.paused, h.n, h.level, h.run_at, h.id
  FROM p LEFT JOIN s ON true LEFT JOIN h ON true;
