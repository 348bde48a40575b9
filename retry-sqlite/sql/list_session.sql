-- As list_newest, among what a session holds. ?1 the id before, ?2 rows, ?3 session.
SELECT id, queue, kind, state, run_at, created_at, unique_key, parent, session FROM retry_task INDEXED BY retry_held
 WHERE session = ?3 AND id < ?1 ORDER BY id DESC LIMIT ?2;
