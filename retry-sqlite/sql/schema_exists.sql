-- Whether the file has the store's tables. No parameters.
SELECT count(*) FROM main.sqlite_schema WHERE type = 'table' AND name = 'retry_schema';
