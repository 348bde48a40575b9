-- The server's time in milliseconds; the only statement that asks for it. No parameters.
SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
