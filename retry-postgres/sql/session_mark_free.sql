-- As session_mark, when a wait for a lock was in vain: what others have locked is passed over until the next time. $1 now,
-- $2 sessions at most.
UPDATE {schema}.session SET lost = true
 WHERE id = ANY (ARRAY (SELECT s.id FROM {schema}.session s WHERE NOT s.lost AND s.lease_until < $1::bigint
                         ORDER BY s.id LIMIT $2::bigint FOR UPDATE SKIP LOCKED))
RETURNING id;
