-- Whether a session is there, and lost. $1 session.
SELECT lost FROM {schema}.session WHERE id = $1::uuid;
