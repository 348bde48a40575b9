-- L6, L8: absolute values of rows that edit_lock has locked, so each of them is there and the insert never inserts.
-- Written so because there is no join in it that a planner could turn around. One array a column, each
-- unnested by itself (insert_task).
INSERT INTO {schema}.task AS t (id, state, run_at, attempt, crashes, level, step, session, cancel_requested, alarm_at,
       purge_at, holds_key, updated_at, total, open, failed, version, last_nonce, noted, bytes, created_at, queue, kind)
SELECT unnest($1::uuid[]), unnest($2::smallint[]), unnest($3::bigint[]), unnest($4::integer[]),
       unnest($5::integer[]), unnest($6::smallint[]), unnest($7::integer[]), unnest($8::uuid[]),
       unnest($9::boolean[]), unnest($10::bigint[]), unnest($11::bigint[]), unnest($12::boolean[]),
       unnest($13::bigint[]), unnest($14::integer[]), unnest($15::integer[]), unnest($16::integer[]),
       unnest($17::bigint[]), unnest($18::bigint[]), unnest($19::boolean[]), unnest($20::integer[]), 0, '', ''
ON CONFLICT (id) DO UPDATE
   SET state = excluded.state, run_at = excluded.run_at, attempt = excluded.attempt, crashes = excluded.crashes,
       level = excluded.level, step = excluded.step, session = excluded.session,
       cancel_requested = excluded.cancel_requested, alarm_at = excluded.alarm_at, purge_at = excluded.purge_at,
       holds_key = excluded.holds_key, updated_at = excluded.updated_at, total = excluded.total, open = excluded.open,
       failed = excluded.failed, version = excluded.version, last_nonce = excluded.last_nonce, noted = excluded.noted,
       bytes = excluded.bytes;
