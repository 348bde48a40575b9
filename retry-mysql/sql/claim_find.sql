-- The named tasks of a queue that are due, without a lock: what a claim does not take it must not lock either, or others pass over it.
-- Parameters: the ids, queue, from, until.
SELECT t.id, t.kind, t.level FROM {ids} STRAIGHT_JOIN retry_task t FORCE INDEX (PRIMARY) ON t.id = UNHEX(e.id)
 WHERE t.state = 0 AND t.queue = ? AND t.run_at >= ? AND t.run_at <= ?
