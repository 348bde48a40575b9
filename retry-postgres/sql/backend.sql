-- Which of the server's processes serves this connection. No parameters.
SELECT pg_backend_pid();
