-- L2: who holds a unique key. ?1 the key as it is stored, with its kind.
SELECT t.id, t.state, t.number, l.queue, t.run_at
  FROM retry_task t INDEXED BY retry_key LEFT JOIN retry_lane l ON l.number = t.lane >> 3
 WHERE t.holds_key = 1 AND t.unique_key = ?1;
