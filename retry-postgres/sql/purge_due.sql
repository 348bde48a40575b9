-- Ended tasks to forget, of one final state, locked; the caller merges the three. $1 state, $2 now, $3 created at the
-- latest, $4 rows.
SELECT purge_at, id, parent
  FROM {schema}.task
 WHERE state >= 4 AND state = $1::smallint AND purge_at <= $2::bigint AND created_at <= $3::bigint
 ORDER BY purge_at, id LIMIT $4::bigint FOR NO KEY UPDATE SKIP LOCKED;
