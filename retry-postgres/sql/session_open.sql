-- A new session; no row: there is one already. $1 id, $2 lease_until, $3 name, $4 host, $5 queues, $6 kinds.
INSERT INTO {schema}.session (id, lease_until, lost, dead, name, host, queues, kinds)
VALUES ($1::uuid, $2::bigint, false, false, $3::text, $4::text, $5::text, $6::text)
ON CONFLICT DO NOTHING RETURNING id;
