-- Ended tasks to forget, of one final state; the caller merges the three. ?1 state, ?2 now, ?3 created at the latest,
-- ?4 rows.
SELECT purge_at, id, number, noted, parent FROM retry_task INDEXED BY retry_ended
 WHERE state >= 4 AND state = ?1 AND purge_at <= ?2 AND created_at <= ?3
 ORDER BY purge_at, id LIMIT ?4;
