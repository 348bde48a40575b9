-- Children that their parents still need. $1 ids, $2 the new purge_at.
UPDATE {schema}.task SET purge_at = $2::bigint WHERE id = ANY ($1::uuid[]);
