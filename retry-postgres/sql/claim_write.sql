-- L7: the claim of locked rows, as `machine::claim`; answers them as they were before. $1 session, $2 now, $3 ids.
WITH w AS (
  UPDATE {schema}.task
     SET state = 1, attempt = attempt + (attempt < 2147483647)::integer,
         version = version + (version < 9007199254740991)::integer, session = $1::uuid, updated_at = $2::bigint,
         alarm_at = CASE WHEN deadline_after IS NOT NULL THEN least($2::bigint + deadline_after, 9007199254740992) END
   WHERE id = ANY ($3::uuid[])
)
SELECT {record}, b.payload, b.headers, n.checkpoint, n.completion
  FROM {from}
 WHERE t.id = ANY ($3::uuid[]);
