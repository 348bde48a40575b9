-- Forgets tasks that this transaction has locked. Parameter: the ids.
DELETE t FROM {ids} STRAIGHT_JOIN retry_task t ON t.id = UNHEX(e.id)
