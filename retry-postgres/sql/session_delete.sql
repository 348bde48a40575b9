-- A session closed with nothing in its hands. $1 session.
DELETE FROM {schema}.session WHERE id = $1::uuid;
