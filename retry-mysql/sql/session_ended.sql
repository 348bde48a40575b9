-- L9: sessions whose lease has ended, read without a lock: hardly ever there is one. Parameters: now, limit.
SELECT id FROM retry_session WHERE lost = 0 AND lease_until < ? ORDER BY id LIMIT ?
