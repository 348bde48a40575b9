-- L9: no row: lost. Never shortens a lease. Answers those whose cancel was requested, from an index of them alone, and how many
-- tasks it holds. $1 session, $2 until, $3 flagged tasks at most.
UPDATE {schema}.session
   SET lease_until = greatest(lease_until, $2::bigint)
 WHERE id = $1::uuid AND NOT lost
RETURNING ARRAY (SELECT t.id FROM {schema}.task t WHERE t.session = $1::uuid AND t.cancel_requested
                  ORDER BY t.id LIMIT $3::bigint),
          (SELECT count(*) FROM {schema}.task WHERE session = $1::uuid);
