-- Which of these tasks have not ended. $1 ids.
SELECT id FROM {schema}.task WHERE id = ANY ($1::uuid[]) AND state < 4;
