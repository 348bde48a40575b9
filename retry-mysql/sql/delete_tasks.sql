-- Forgets tasks that this transaction has locked. Parameter: the ids.
DELETE t FROM {ids} STRAIGHT_JOIN retry_task t FORCE INDEX (PRIMARY) ON t.id = UNHEX(e.id)
