-- What a listing looks at, newest first. $1 the id before, NULL for the newest; $2 rows.
SELECT t.id, t.queue, t.kind, t.state, t.run_at, t.created_at, t.unique_key, t.parent, t.session
  FROM {schema}.task t
 WHERE t.id < coalesce($1::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
 ORDER BY t.id DESC LIMIT $2::bigint;
