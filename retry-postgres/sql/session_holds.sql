-- Whether a session holds a task. $1 session.
SELECT 1 FROM {schema}.task WHERE session = $1::uuid LIMIT 1;
