-- L9: a row means that the session may claim. ?1 session.
SELECT 1 FROM retry_session WHERE id = ?1 AND lost = 0;
