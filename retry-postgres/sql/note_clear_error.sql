-- Empties last errors. $1 ids.
UPDATE {schema}.note SET last_error = NULL WHERE id = ANY ($1::uuid[]);
