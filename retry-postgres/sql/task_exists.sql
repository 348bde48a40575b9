-- L1: those that are stored are Repeated. $1 ids.
SELECT id FROM {schema}.task WHERE id = ANY ($1::uuid[]);
