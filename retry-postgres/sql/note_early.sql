-- Which tasks have an early completion. $1 ids.
SELECT id FROM {schema}.note WHERE id = ANY ($1::uuid[]) AND early IS NOT NULL;
