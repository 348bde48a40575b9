-- L1, L12: a single task as insert_new, its body as insert_body, and the commit, sent as one text: one round trip in place of three.
-- Parameters: those of a row of the one, then of the other.
INSERT INTO retry_task (id, queue, kind, level, state, run_at, attempt, version, session, alarm_at, created_at, updated_at,
                        unique_key, holds_key, parent,
                        crashes, step, last_nonce, cancel_requested, total, open, failed, failures, noted, early)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
INSERT INTO retry_body (id, settings, key_scope, wait_secret, bytes, headers, payload) VALUES (?, ?, ?, ?, ?, ?, ?);
COMMIT
