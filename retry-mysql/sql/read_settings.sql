-- The settings of tasks that become parents, or whose limits a rerun counts anew. Parameter: the ids.
SELECT b.id, b.settings FROM {ids} STRAIGHT_JOIN retry_body b FORCE INDEX (PRIMARY) ON b.id = UNHEX(e.id)
