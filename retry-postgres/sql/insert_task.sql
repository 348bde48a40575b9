-- L1, L2: tasks and their bodies in one statement, each id once. Answers the ids that are new. $1 now, then one array a
-- column. The caller sorts by (kind, unique_key), so that two batches wait for each other in one order. `IS TRUE` keeps
-- the planner from turning the condition into a join: it is looked up in a hash table, whatever the statistics say.
WITH t AS (
  INSERT INTO {schema}.task (id, queue, kind, level, state, run_at, created_at, updated_at, attempt, crashes, step, version,
                             last_nonce, session, cancel_requested, alarm_at, unique_key, holds_key, parent,
                             deadline_after, total, open, failed, bytes, noted)
  SELECT e.id, e.queue, e.kind, e.level, e.state, e.run_at, $1::bigint, $1::bigint, e.attempt, 0, 0, e.version,
         0, e.session, false, e.alarm_at, e.unique_key, e.unique_key IS NOT NULL, e.parent,
         e.deadline_after, 0, 0, 0, e.bytes, false
    FROM unnest($2::uuid[], $3::text[], $4::text[], $5::smallint[], $6::smallint[], $7::bigint[], $8::integer[],
                $9::bigint[], $10::uuid[], $11::bigint[], $12::text[], $13::uuid[], $14::bigint[], $15::integer[])
      AS e (id, queue, kind, level, state, run_at, attempt, version, session, alarm_at, unique_key, parent,
            deadline_after, bytes)
  ON CONFLICT DO NOTHING RETURNING id
), b AS (
  INSERT INTO {schema}.body (id, wait_secret, key_scope, settings, headers, payload)
  SELECT e.* FROM unnest($2::uuid[], $16::bigint[], $17::smallint[], $18::text[], $19::text[], $20::text[])
      AS e (id, wait_secret, key_scope, settings, headers, payload)
   WHERE (e.id IN (SELECT t.id FROM t)) IS TRUE
)
SELECT id FROM t;
