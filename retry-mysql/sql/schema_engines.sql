-- Our tables that are not InnoDB's. Parameters: the database, the pattern of the tables' names.
SELECT table_name AS name, engine FROM information_schema.tables
 WHERE table_schema = ? AND table_name LIKE ? AND engine <> 'InnoDB' LIMIT 1
