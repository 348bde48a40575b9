-- The schema of the store, if nobody made it for us. No parameters.
CREATE SCHEMA {schema};
