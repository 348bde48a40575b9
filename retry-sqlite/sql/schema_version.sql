-- The version of the stored schema. No parameters.
SELECT max(version) FROM retry_schema;
