-- Forgets the notes of those that have one. Parameter: the ids.
DELETE t FROM {ids} STRAIGHT_JOIN retry_note t FORCE INDEX (PRIMARY) ON t.id = UNHEX(e.id)
