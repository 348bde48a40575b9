-- L3-L5, L7, L9, L15: a whole claim in one statement, where one lane at most has something due; where several have, nothing is
-- claimed and the statement has only looked. The looks are those of claim_heads, the locks those of claim_take, the write
-- is that of claim_write. $1 session, $2 queue, $3 kinds, $4 how many of each, $5 of all, $6 suspects, $7 due at the
-- latest, $8 the latest due time that is told, $9 bytes at most, $10 now. Answers at least one row: the tasks as they were before;
-- then whether the session may claim, whether the queue is paused, how many lanes have something due, which it is, the first
-- due time that is left, and the sum of the versions of what was claimed: all rows are read as of the statement's
-- beginning, and a row that was changed between that and its lock is found by its version.
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
   WHERE NOT (SELECT p.paused FROM p)
  UNION ALL
  SELECT h.n, h.kind, a.level, a.run_at, a.id FROM h
   CROSS JOIN LATERAL (SELECT t.level, t.run_at, t.id FROM {schema}.task t
                        WHERE t.state = 0 AND t.queue = $2::text AND t.kind = h.kind AND t.level > h.level
                        ORDER BY t.level, t.run_at, t.id LIMIT 1) a
), o AS MATERIALIZED (                   -- the heads of the lanes that count
  SELECT h.* FROM h WHERE h.level % 2 = 0 OR $6::bigint > 0
), f AS MATERIALIZED (                   -- the lane that has something due
  SELECT o.*, least($5::bigint, ($4::bigint[])[o.n], CASE WHEN o.level % 2 = 1 THEN $6::bigint ELSE $5::bigint END) AS wanted
    FROM s, o WHERE o.run_at <= $7::bigint AND (SELECT count(*) FROM o d WHERE d.run_at <= $7::bigint) = 1
), l AS MATERIALIZED (
  SELECT a.* FROM f
   CROSS JOIN LATERAL (SELECT t.id, t.run_at, t.version, t.bytes + CASE WHEN t.noted THEN coalesce((
                                SELECT coalesce(octet_length(n.checkpoint), 0) + coalesce(octet_length(n.completion), 0)
                                  FROM {schema}.note n WHERE n.id = t.id), 0) ELSE 0 END AS bytes
                         FROM {schema}.task t
                        WHERE t.state = 0 AND t.queue = $2::text AND t.kind = f.kind AND t.level = f.level
                          AND t.run_at <= $7::bigint AND (t.run_at, t.id) >= (f.run_at, f.id)
                        ORDER BY t.run_at, t.id LIMIT f.wanted FOR NO KEY UPDATE OF t SKIP LOCKED) a
), c AS MATERIALIZED (                   -- what fits into the answer
  SELECT b.id, b.version
    FROM (SELECT l.id, l.version, sum(l.bytes) OVER (ORDER BY l.run_at, l.id) - l.bytes AS before FROM l) b
   WHERE b.before <= $9::bigint
), w AS (
  UPDATE {schema}.task
     SET state = 1, attempt = attempt + (attempt < 2147483647)::integer,
         version = version + (version < 9007199254740991)::integer, session = $1::uuid, updated_at = $10::bigint,
         alarm_at = CASE WHEN deadline_after IS NOT NULL THEN least($10::bigint + deadline_after, 9007199254740992) END
   WHERE id = ANY (ARRAY (SELECT c.id FROM c))
), r AS MATERIALIZED (                   -- what is left of the lane, unless the answer is full
  SELECT a.run_at FROM f
   CROSS JOIN LATERAL (SELECT t.run_at FROM {schema}.task t
                        WHERE t.state = 0 AND t.queue = $2::text AND t.kind = f.kind AND t.level = f.level
                          AND (t.run_at, t.id) >= (f.run_at, f.id) AND (t.id IN (SELECT c.id FROM c)) IS NOT TRUE
                        ORDER BY t.run_at, t.id LIMIT 1) a
   WHERE (SELECT count(*) FROM c) < $5::bigint
), z AS MATERIALIZED (
  SELECT EXISTS (SELECT 1 FROM s) AS live, (SELECT p.paused FROM p) AS paused,
         (SELECT count(*) FROM o WHERE o.run_at <= $7::bigint) AS lanes, (SELECT f.n FROM f) AS n,
         (SELECT f.level FROM f) AS level,
         (SELECT min(x.run_at) FROM (SELECT r.run_at FROM r
                                     UNION ALL SELECT o.run_at FROM o WHERE o.run_at > $7::bigint) x
           WHERE x.run_at <= $8::bigint) AS next,
         (SELECT sum(c.version)::bigint FROM c) AS versions
)
SELECT {record}, b.payload, b.headers, n.checkpoint, n.completion,
       z.live, z.paused, z.lanes, z.n, z.level, z.next, z.versions
  FROM z LEFT JOIN ({from}) ON t.id = ANY (ARRAY (SELECT c.id FROM c));
