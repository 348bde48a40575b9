-- What the table of an outbox is like, a row for each column: its name and type, whether it takes NULL, whether it gets a value
-- without being named, whether it is the primary key alone, whether its table outlives a crash of the server. $1 the table, quoted.
SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
       a.atthasdef OR a.attidentity <> '', COALESCE(i.indnkeyatts = 1 AND a.attnum = ANY (i.indkey), false),
       c.relpersistence = 'p'
  FROM pg_class c
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
 WHERE c.oid = to_regclass($1::text) AND c.relkind IN ('r', 'p')
 ORDER BY a.attnum;
