-- L9, L15: may tasks be born leased? The live ones of the sessions $1, locked against being marked until we commit; and
-- the paused ones of the queues $2.
WITH s AS MATERIALIZED (
  SELECT id FROM {schema}.session WHERE id = ANY ($1::uuid[]) AND NOT lost ORDER BY id FOR KEY SHARE)
SELECT id, NULL::text AS queue FROM s
UNION ALL
SELECT NULL, p.queue FROM {schema}.paused p WHERE p.queue = ANY ($2::text[]);
