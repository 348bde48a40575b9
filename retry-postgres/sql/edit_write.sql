-- L6, L8: absolute values of rows that edit_lock has locked, so each of them is there and the insert never inserts.
-- Written so because there is no join in it that a planner could turn around. One array a column.
INSERT INTO {schema}.task AS t (id, state, run_at, attempt, crashes, level, step, session, cancel_requested, alarm_at,
       purge_at, holds_key, updated_at, total, open, failed, version, last_nonce, noted, bytes, created_at, queue, kind)
SELECT e.*, 0, '', ''
  FROM unnest($1::uuid[], $2::smallint[], $3::bigint[], $4::integer[], $5::integer[], $6::smallint[], $7::integer[],
              $8::uuid[], $9::boolean[], $10::bigint[], $11::bigint[], $12::boolean[], $13::bigint[], $14::integer[],
              $15::integer[], $16::integer[], $17::bigint[], $18::bigint[], $19::boolean[], $20::integer[]) AS e
ON CONFLICT (id) DO UPDATE
   SET state = excluded.state, run_at = excluded.run_at, attempt = excluded.attempt, crashes = excluded.crashes,
       level = excluded.level, step = excluded.step, session = excluded.session,
       cancel_requested = excluded.cancel_requested, alarm_at = excluded.alarm_at, purge_at = excluded.purge_at,
       holds_key = excluded.holds_key, updated_at = excluded.updated_at, total = excluded.total, open = excluded.open,
       failed = excluded.failed, version = excluded.version, last_nonce = excluded.last_nonce, noted = excluded.noted,
       bytes = excluded.bytes;
