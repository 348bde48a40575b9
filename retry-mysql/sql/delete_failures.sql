-- Forgets the history of those that have one. Parameter: the ids.
DELETE t FROM {ids} STRAIGHT_JOIN retry_failure t FORCE INDEX (PRIMARY) ON t.id = UNHEX(e.id)
