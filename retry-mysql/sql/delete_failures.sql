-- Forgets the history of those that have one. Parameter: the ids.
DELETE t FROM {ids} STRAIGHT_JOIN retry_failure t ON t.id = UNHEX(e.id)
