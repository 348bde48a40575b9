-- L1, L2: one new task. ?1 id, ?2 queue, ?3 kind, ?4 level, ?5 state, ?6 run_at, ?7 attempt, ?8 version, ?9 session,
-- ?10 alarm_at, ?11 now, ?12 unique key, ?13 holds it, ?14 parent.
-- 1 row: new. 0 rows: the id is stored or the key is held; DO NOTHING covers both, so nothing is looked up before.
-- The body follows at once in the same transaction, under the number that is taken here.
INSERT INTO retry_task (id, queue, kind, level, state, run_at, attempt, crashes, step, version, last_nonce, session,
                        cancel_requested, alarm_at, purge_at, created_at, updated_at, unique_key, holds_key, parent,
                        total, open, failed, body, noted)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0, ?8, 0, ?9, 0, ?10, NULL, ?11, ?11, ?12, ?13, ?14, 0, 0, 0,
        (SELECT coalesce(max(number), 0) + 1 FROM retry_body), 0)
ON CONFLICT DO NOTHING;
