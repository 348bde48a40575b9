-- Forgets tasks with everything that is kept about them. $1 ids.
WITH t AS (DELETE FROM {schema}.task WHERE id = ANY ($1::uuid[])),
     b AS (DELETE FROM {schema}.body WHERE id = ANY ($1::uuid[])),
     n AS (DELETE FROM {schema}.note WHERE id = ANY ($1::uuid[]))
DELETE FROM {schema}.failure WHERE id = ANY ($1::uuid[]);
