-- The states of parents, without a lock: one that ends meanwhile has its children forgotten an hour later.
-- Parameter: the ids.
SELECT t.id, t.state FROM {ids} STRAIGHT_JOIN retry_task t FORCE INDEX (PRIMARY) ON t.id = UNHEX(e.id)
