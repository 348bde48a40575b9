-- Whether the tables are there (1) or not (0). Parameters: the database, the name of the table of versions.
SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = ? AND table_name = ?
