-- O7: how many rows wait, and since when the first of them. $1 how many are counted.
SELECT count(*), (SELECT o.created_at FROM {table} o WHERE o.seq > 0 ORDER BY o.seq LIMIT 1)
  FROM (SELECT FROM {table} o WHERE o.seq > 0 ORDER BY o.seq LIMIT $1::bigint) w;
