-- L9: marks a session lost, for ever. ?1 session, ?2 whether its process is dead or closed it.
UPDATE retry_session SET lost = 1, dead = ?2 WHERE id = ?1;
