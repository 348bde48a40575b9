-- L6, L8: the row an edit is decided on. ?1 id.
SELECT t.version, t.state, t.last_nonce, t.cancel_requested, t.holds_key, t.step, t.total, t.open, t.number, t.noted,
       l.queue, t.parent
  FROM retry_task t LEFT JOIN retry_lane l ON l.number = t.lane >> 3
 WHERE t.id = ?1;
