-- O1, O2: writes rows in the caller's transaction, numbered in the order of the arrays. $1 ids, $2 kinds, $3 times, $4 bodies.
INSERT INTO {table} (id, kind, created_at, body)
SELECT r.id, r.kind, r.created_at, r.body
  FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[]) WITH ORDINALITY AS r (id, kind, created_at, body, n)
 ORDER BY r.n;
