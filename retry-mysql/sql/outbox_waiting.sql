-- O7: how many rows wait, and since when the first of them. Parameter: how many are counted.
SELECT COUNT(*), (SELECT o.created_at FROM {table} o FORCE INDEX (PRIMARY) WHERE o.seq > 0 ORDER BY o.seq LIMIT 1)
  FROM (SELECT o.seq FROM {table} o FORCE INDEX (PRIMARY) WHERE o.seq > 0 ORDER BY o.seq LIMIT ?) w
