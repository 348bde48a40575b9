-- What the table of an outbox is like, a row for each column: its name and type, of a long text with its character set, whether it takes NULL, whether it gets a value
-- without being named, whether it numbers the rows, and the table's engine. Parameters: database, table.
SELECT c.column_name,
       CASE WHEN c.data_type = 'binary' THEN CONCAT('binary(', c.character_maximum_length, ')')
            WHEN c.data_type LIKE '%text' THEN CONCAT(c.data_type, ' ', c.character_set_name)
            ELSE c.data_type END,
       c.is_nullable = 'YES', c.column_default IS NOT NULL OR c.extra <> '',
       c.column_key = 'PRI' AND c.extra LIKE '%auto_increment%', t.engine
  FROM information_schema.tables t
  JOIN information_schema.columns c ON c.table_schema = t.table_schema AND c.table_name = t.table_name
 WHERE t.table_schema = ? AND t.table_name = ?
 ORDER BY c.ordinal_position
