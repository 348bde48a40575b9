-- Whether the schema and its version table exist. $1 schema.
SELECT n.oid IS NOT NULL, c.oid IS NOT NULL
  FROM (SELECT) one
  LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = $1::text
  LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = 'version';
