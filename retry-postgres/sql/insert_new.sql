-- L1: tasks without unique keys, and their bodies, as insert_task, where nothing is looked up first, so that each row costs one write of
-- it and not two. One that is there already is an error, and nothing is inserted. $1 now, then one array a column, unnested as there.
WITH b AS (
  INSERT INTO {schema}.body (id, wait_secret, key_scope, settings, headers, payload)
  SELECT unnest($2::uuid[]), unnest($16::bigint[]), unnest($17::smallint[]), unnest($18::text[]), unnest($19::text[]),
         unnest($20::text[])
)
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
             unnest($15::integer[]) AS bytes) e;
