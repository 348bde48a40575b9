-- Tells the other processes that queues have due tasks. $1 channel, $2 queues.
SELECT pg_notify($1::text, q) FROM unnest($2::text[]) AS q;
