-- As claim_heads, with a position in each asked lane behind which its head is looked for: so that the entries of tasks
-- claimed before are not walked again, which an old snapshot keeps from being removed. $1 session, $2 queue, and for each
-- lane $3 its kind's place, $4 kind, $5 level, $6 run_at, $7 id; $8 whether to look at a paused queue as well.
WITH s AS MATERIALIZED (
  SELECT 1 AS live FROM {schema}.session WHERE id = $1::uuid AND NOT lost FOR KEY SHARE
), p AS MATERIALIZED (
  SELECT EXISTS (SELECT 1 FROM {schema}.paused WHERE queue = $2::text) AS paused
), h AS MATERIALIZED (
  SELECT l.n, l.level, a.run_at, a.id
    FROM unnest($3::bigint[], $4::text[], $5::smallint[], $6::bigint[], $7::uuid[]) AS l (n, kind, level, run_at, id)
   CROSS JOIN LATERAL (SELECT t.run_at, t.id FROM {schema}.task t
                        WHERE t.state = 0 AND t.queue = $2::text AND t.kind = l.kind AND t.level = l.level
                          AND (t.run_at, t.id) > (l.run_at, l.id)
                        ORDER BY t.run_at, t.id LIMIT 1) a
   WHERE $8::boolean OR NOT (SELECT p.paused FROM p)
)
SELECT s.live IS NOT NULL, p.paused, h.n, h.level, h.run_at, h.id
  FROM p LEFT JOIN s ON true LEFT JOIN h ON true;
