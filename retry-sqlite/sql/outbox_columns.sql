-- What the table of an outbox is like, a row for each column: its name and type, whether it takes NULL, whether it gets a value
-- without being named, whether it is a primary key that never gives a number twice. ?1 the table.
SELECT c.name, c.type, c."notnull" = 0, c.dflt_value IS NOT NULL OR c.hidden > 1,
       c.pk = 1 AND t.sql LIKE '%AUTOINCREMENT%'
  FROM sqlite_schema t, pragma_table_xinfo(t.name) c
 WHERE t.type = 'table' AND t.name = ?1
 ORDER BY c.cid;
