-- L9: marks sessions whose lease has ended; those being renewed or claiming are passed over and met by the next call. The
-- explicit FOR UPDATE is what conflicts with a claim's lock. $1 now, $2 sessions at most.
UPDATE {schema}.session SET lost = true
 WHERE id = ANY (ARRAY (SELECT s.id FROM {schema}.session s WHERE NOT s.lost AND s.lease_until < $1::bigint
                         ORDER BY s.id LIMIT $2::bigint FOR UPDATE SKIP LOCKED))
RETURNING id;
