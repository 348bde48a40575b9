-- The settings of tasks that become parents, or whose limits a rerun counts anew. Parameter: the ids.
SELECT t.id, t.settings FROM {ids} STRAIGHT_JOIN retry_task t FORCE INDEX (PRIMARY) ON t.id = UNHEX(e.id)
