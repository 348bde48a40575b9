-- L1, L2: as insert_task, for tasks that no other edit of the call has touched: what every such task begins with is not sent.
INSERT INTO retry_task (id, queue, kind, level, state, run_at, attempt, version, session, alarm_at, created_at, updated_at,
                        unique_key, holds_key, parent, settings, key_scope, wait_secret, bytes, headers, payload,
                        crashes, step, last_nonce, cancel_requested, total, open, failed, failures, noted, early)
VALUES {row (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)}
