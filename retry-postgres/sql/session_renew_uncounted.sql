-- As session_renew, without the count, which an old snapshot makes a walk over all tasks that the session ever held.
UPDATE {schema}.session
   SET lease_until = greatest(lease_until, $2::bigint)
 WHERE id = $1::uuid AND NOT lost
RETURNING ARRAY (SELECT t.id FROM {schema}.task t WHERE t.session = $1::uuid AND t.cancel_requested
                  ORDER BY t.id LIMIT $3::bigint),
          NULL::bigint;
