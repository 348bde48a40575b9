-- L2: who holds the unique keys. $1 kinds, $2 keys; answers the place in the lists. LATERAL with LIMIT is one seek for
-- each and cannot become another join.
SELECT e.n, h.id, h.state
  FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS e (kind, key, n)
 CROSS JOIN LATERAL (SELECT t.id, t.state FROM {schema}.task t
                      WHERE t.kind = e.kind AND t.unique_key = e.key AND t.holds_key LIMIT 1) h;
