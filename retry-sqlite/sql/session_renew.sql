-- L9: 0 rows: lost. Never shortens a lease. ?1 session, ?2 until.
UPDATE retry_session SET lease_until = max(lease_until, ?2) WHERE id = ?1 AND lost = 0;
