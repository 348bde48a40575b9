-- One migration at a time, also among stores that have no tables yet. $1 schema. Ends with the transaction.
SELECT pg_advisory_xact_lock(hashtextextended('task-retry migration of ' || $1::text, 0));
