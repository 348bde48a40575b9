-- L1, L2: new tasks, sorted by (kind, key, id), so that two calls wait for each other instead of ending in a deadlock. A plain
-- INSERT: an id or key that is there already fails the statement, and the call looks again and starts anew.
INSERT INTO retry_task (id, queue, kind, level, state, run_at, attempt, crashes, step, version, last_nonce, session,
                        cancel_requested, alarm_at, purge_at, created_at, updated_at, unique_key, holds_key, parent,
                        total, open, failed, failures, noted, early,
                        settings, key_scope, wait_secret, bytes, headers, payload)
VALUES {row (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)}
