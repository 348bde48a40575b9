-- The settings of tasks. $1 ids.
SELECT id, settings FROM {schema}.body WHERE id = ANY ($1::uuid[]);
