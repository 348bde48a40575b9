-- L11, L13: candidates of a listing, newest first; the filter is applied to them, the rest is read for what passes.
-- ?1 the id before, ?2 rows.
SELECT id, queue, kind, state, run_at, created_at, unique_key, parent, session FROM retry_task NOT INDEXED
 WHERE id < ?1 ORDER BY id DESC LIMIT ?2;
