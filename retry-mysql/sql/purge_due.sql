-- L1, L13: tasks of one final state whose time is over, oldest first; what others have locked is passed over.
-- Parameters: state, now, created at the latest, limit.
SELECT t.id, t.purge_at, t.noted, t.failures, t.parent, t.payload IS NULL FROM retry_task t FORCE INDEX (task_place)
 WHERE t.state = ? AND t.place_name = '' AND t.place_kind = '' AND t.place_level = 0 AND t.place_at <= ? AND t.created_at <= ?
 ORDER BY t.place_at, t.id LIMIT ? FOR UPDATE SKIP LOCKED
