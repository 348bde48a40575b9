-- L6, L8: the row an edit is decided on. ?1 id.
SELECT version, state, last_nonce, cancel_requested, holds_key, level, step, total, open, body, noted, queue, parent
  FROM retry_task WHERE id = ?1;
