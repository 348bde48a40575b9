-- As list_newest, among the children of a task. ?1 the id before, ?2 rows, ?3 parent.
SELECT id, queue, kind, state, run_at, created_at, unique_key, parent, session FROM retry_task INDEXED BY retry_child
 WHERE parent = ?3 AND id < ?1 ORDER BY id DESC LIMIT ?2;
