-- As lease_check, inside a transaction of the user's own, which may stay open for long: without locks, so that it keeps nobody
-- from renewing, closing or marking its session. A task that is born under a session lost meanwhile is rescued.
SELECT id, NULL::text AS queue FROM {schema}.session WHERE id = ANY ($1::uuid[]) AND NOT lost
UNION ALL
SELECT NULL, p.queue FROM {schema}.paused p WHERE p.queue = ANY ($2::text[]);
