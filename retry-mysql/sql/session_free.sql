-- Those of the given sessions that nobody has locked. Parameter: the ids.
SELECT t.id FROM {ids_to_lock} STRAIGHT_JOIN retry_session t FORCE INDEX (PRIMARY) ON t.id = UNHEX(e.id) FOR UPDATE SKIP LOCKED
