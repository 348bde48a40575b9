-- Ends a session: marked dead while it holds a task, else forgotten. The lock waits for its open claims. $1 session.
SELECT 1 FROM {schema}.session WHERE id = $1::uuid FOR UPDATE;
