-- L1, L6: forgets ended tasks whose time is over. It finds each as it was read, or the purge starts anew: a row that was given by a
-- locking read that passes over locked rows has been seen not to be locked, and may have been rerun. Parameters: the ids, now.
DELETE t FROM {ids} STRAIGHT_JOIN retry_task t FORCE INDEX (PRIMARY) ON t.id = UNHEX(e.id) WHERE t.state >= 4 AND t.purge_at <= ?
