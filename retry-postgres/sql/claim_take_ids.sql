-- L3: as claim_look_ids, for those that can be claimed, locked; rows that others hold are passed over. $1 ids.
SELECT id, run_at, bytes, noted, state, level, queue, kind
  FROM {schema}.task WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED;
