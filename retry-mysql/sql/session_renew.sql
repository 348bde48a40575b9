-- L9: renews a session that is not lost; never shortens a lease. The driver counts rows found, not rows changed, so that a
-- renewal to the same time counts. Parameters: lease_until, id.
UPDATE retry_session SET lease_until = GREATEST(lease_until, ?) WHERE id = ? AND lost = 0
