-- The version of the stored schema. No parameters.
SELECT max(version) FROM {schema}.version;
