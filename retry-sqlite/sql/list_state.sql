-- As list_newest, in one of the states that are kept in order. ?1 the id before, ?2 rows, ?3 state.
SELECT id, queue, kind, state, run_at, created_at, unique_key, parent, session FROM retry_task INDEXED BY retry_listed
 WHERE state >= 2 AND state <> 4 AND state = ?3 AND id < ?1 ORDER BY id DESC LIMIT ?2;
