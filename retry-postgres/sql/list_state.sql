-- As list_newest, in state $3, one of those that are kept in order.
SELECT t.id, t.queue, t.kind, t.state, t.run_at, t.created_at, t.unique_key, t.parent, t.session
  FROM {schema}.task t
 WHERE t.state IN (2, 3, 5, 6) AND t.state = $3::smallint
   AND t.id < coalesce($1::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
 ORDER BY t.id DESC LIMIT $2::bigint;
