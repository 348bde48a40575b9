-- Forgets bodies that are kept apart. Parameter: the ids.
DELETE t FROM {ids} STRAIGHT_JOIN retry_body t FORCE INDEX (PRIMARY) ON t.id = UNHEX(e.id)
