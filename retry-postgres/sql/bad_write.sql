-- L14: rows that cannot be read are put aside as failed; they keep no lane, lease, alarm, key or purge time. $1 ids, $2 now.
UPDATE {schema}.task
   SET state = 5, session = NULL, alarm_at = NULL, purge_at = NULL, holds_key = false, updated_at = $2::bigint
 WHERE id = ANY ($1::uuid[]);
