-- Children that a parent still needs. Parameters: the ids, the new time.
UPDATE {ids} STRAIGHT_JOIN retry_task t FORCE INDEX (PRIMARY) ON t.id = UNHEX(e.id) SET t.purge_at = ? WHERE t.state >= 4
