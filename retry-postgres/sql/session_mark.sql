-- L9: marks sessions whose lease has ended. The explicit FOR UPDATE is what conflicts with a claim's lock: a session is
-- marked before a claim reads it or after that claim has committed, whose tasks are then reported. Those being renewed are
-- looked at again when the renewal has committed. $1 now, $2 sessions at most.
UPDATE {schema}.session SET lost = true
 WHERE id = ANY (ARRAY (SELECT s.id FROM {schema}.session s WHERE NOT s.lost AND s.lease_until < $1::bigint
                         ORDER BY s.id LIMIT $2::bigint FOR UPDATE))
RETURNING id;
