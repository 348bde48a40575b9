-- L9: marks sessions lost, unless they were renewed meanwhile. A renewal or a claim that is under way is waited for: whatever
-- starts after the mark finds the session lost. Parameters: the ids, now.
UPDATE {ids} STRAIGHT_JOIN retry_session t FORCE INDEX (PRIMARY) ON t.id = UNHEX(e.id)
   SET t.lost = 1 WHERE t.lost = 0 AND t.lease_until < ?
