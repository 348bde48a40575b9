-- What the table of an outbox is like, a row for each column: its name and type, whether it takes NULL, whether it gets a value
-- without being named, whether it is the primary key alone, whether its table outlives a crash of the server, and whether the
-- sequence behind it, if there is one, gives one number after the other to all sessions. $1 the table, quoted.
SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
       a.atthasdef OR a.attidentity <> '', COALESCE(i.indnkeyatts = 1 AND a.attnum = ANY (i.indkey), false),
       c.relpersistence = 'p',
       (SELECT COALESCE(bool_and(s.seqcache = 1 AND s.seqincrement > 0 AND NOT s.seqcycle), true)
          FROM pg_depend d JOIN pg_sequence s ON s.seqrelid = d.objid
         WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
           AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum)
  FROM pg_class c
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
 WHERE c.oid = to_regclass($1::text) AND c.relkind IN ('r', 'p')
 ORDER BY a.attnum;
