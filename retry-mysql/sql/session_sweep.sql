-- Parameter: the ids.
DELETE t FROM {ids} STRAIGHT_JOIN retry_session t FORCE INDEX (PRIMARY) ON t.id = UNHEX(e.id) WHERE t.lost = 1
