-- L3: rows by their ids, unlocked; what else is asked of them is checked by the caller, because with those conditions here
-- the planner might walk the queue. $1 ids.
SELECT id, run_at, bytes, noted, state, level, queue, kind FROM {schema}.task WHERE id = ANY ($1::uuid[]);
