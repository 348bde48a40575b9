-- The stored version of the schema. No parameters.
SELECT version FROM retry_schema WHERE one = 1
