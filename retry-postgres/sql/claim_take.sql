-- L3, L4, L5: locks due rows of one lane from its head on; rows that others hold are passed over. $1 queue, $2 kind,
-- $3 level, $4 due at the latest, $5 $6 the head, $7 rows.
SELECT id, run_at, bytes, noted
  FROM {schema}.task
 WHERE state = 0 AND queue = $1::text AND kind = $2::text AND level = $3::smallint AND run_at <= $4::bigint
   AND (run_at, id) >= ($5::bigint, $6::uuid)
 ORDER BY run_at, id LIMIT $7::bigint FOR NO KEY UPDATE SKIP LOCKED;
