-- The server's time in milliseconds since the epoch; the one statement that asks for it. No parameters.
SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)
