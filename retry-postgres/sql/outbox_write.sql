-- O1, O2: writes rows in the caller's transaction, numbered in the order of the arrays. $1 ids, $2 times, $3 bodies.
INSERT INTO {table} (id, created_at, body)
SELECT r.id, r.created_at, r.body
  FROM unnest($1::uuid[], $2::bigint[], $3::text[]) WITH ORDINALITY AS r (id, created_at, body, n)
 ORDER BY r.n;
