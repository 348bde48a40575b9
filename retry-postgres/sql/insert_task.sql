-- L1, L2: tasks and their bodies in one statement, each id once. Answers the ids that are new. $1 now, then one array a
-- column. The caller sorts by (kind, unique_key), so that two batches wait for each other in one order. `IS TRUE` keeps
-- the planner from turning the condition into a join: it is looked up in a hash table, whatever the statistics say. Each array is
-- unnested by itself: one `unnest` of all of them first stores each in a table of its own, of 16 kB at least.
WITH t AS (
  INSERT INTO {schema}.task (id, queue, kind, level, state, run_at, created_at, updated_at, attempt, crashes, step, version,
                             last_nonce, session, cancel_requested, alarm_at, unique_key, holds_key, parent,
                             deadline_after, total, open, failed, bytes, noted)
  SELECT e.id, e.queue, e.kind, e.level, e.state, e.run_at, $1::bigint, $1::bigint, e.attempt, 0, 0, e.version,
         0, e.session, false, e.alarm_at, e.unique_key, e.unique_key IS NOT NULL, e.parent,
         e.deadline_after, 0, 0, 0, e.bytes, false
    FROM (SELECT unnest($2::uuid[]) AS id, unnest($3::text[]) AS queue, unnest($4::text[]) AS kind, unnest($5::smallint[]) AS level,
               unnest($6::smallint[]) AS state, unnest($7::bigint[]) AS run_at, unnest($8::integer[]) AS attempt,
               unnest($9::bigint[]) AS version, unnest($10::uuid[]) AS session, unnest($11::bigint[]) AS alarm_at,
               unnest($12::text[]) AS unique_key, unnest($13::uuid[]) AS parent, unnest($14::bigint[]) AS deadline_after,
               unnest($15::integer[]) AS bytes) e
  ON CONFLICT DO NOTHING RETURNING id
), b AS (
  INSERT INTO {schema}.body (id, wait_secret, key_scope, settings, headers, payload)
  SELECT e.*
    FROM (SELECT unnest($2::uuid[]) AS id, unnest($16::bigint[]), unnest($17::smallint[]), unnest($18::text[]), unnest($19::text[]),
                 unnest($20::text[])) e
   WHERE (e.id IN (SELECT t.id FROM t)) IS TRUE
)
SELECT id FROM t;
