-- A session closed with nothing in its hands. ?1 session.
DELETE FROM retry_session WHERE id = ?1;
