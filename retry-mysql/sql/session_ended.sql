-- L9: sessions whose lease ended; one whose renewal or claim is under way is passed over. Parameters: now, limit.
SELECT id FROM retry_session WHERE lost = 0 AND lease_until < ? ORDER BY id LIMIT ? FOR UPDATE SKIP LOCKED
