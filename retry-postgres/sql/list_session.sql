-- As list_newest, what session $3 holds.
SELECT t.id, t.queue, t.kind, t.state, t.run_at, t.created_at, t.unique_key, t.parent, t.session
  FROM {schema}.task t
 WHERE t.session = $3::uuid AND t.id < coalesce($1::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
 ORDER BY t.id DESC LIMIT $2::bigint;
