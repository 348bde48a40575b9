-- L1, L2: one new task. ?1 id, ?2 lane, ?3 state, ?4 run_at, ?5 attempt, ?6 version, ?7 session, ?8 alarm_at, ?9 now,
-- ?10 unique key, ?11 holds it, ?12 parent.
-- 1 row: new. 0 rows: the id is stored or the key is held; DO NOTHING covers both, so nothing is looked up before.
-- SQLite gives the number, the greatest plus one; the body follows under it.
INSERT INTO retry_task (id, lane, state, run_at, attempt, crashes, step, version, last_nonce, session, cancel_requested,
                        alarm_at, purge_at, created_at, updated_at, unique_key, holds_key, parent, total, open, failed,
                        noted)
VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, ?6, 0, ?7, 0, ?8, NULL, ?9, ?9, ?10, ?11, ?12, 0, 0, 0, 0)
ON CONFLICT DO NOTHING;
