-- A session that was closed with tasks in its hands. $1 session.
UPDATE {schema}.session SET lost = true, dead = true WHERE id = $1::uuid;
