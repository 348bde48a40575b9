-- O7: how many rows wait, and since when the first of them. ?1 how many are counted.
SELECT count(*), (SELECT created_at FROM {table} WHERE seq > 0 ORDER BY seq LIMIT 1)
  FROM (SELECT 1 FROM {table} WHERE seq > 0 ORDER BY seq LIMIT ?1);
