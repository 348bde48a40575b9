-- Whether a session is there, and lost. ?1 session.
SELECT lost FROM retry_session WHERE id = ?1;
