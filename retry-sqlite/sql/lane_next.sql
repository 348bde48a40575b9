-- The next lane with pending tasks and its head: one seek per lane. ?1 the first lane to look at.
SELECT l.queue, l.kind, t.lane, t.run_at
  FROM retry_task t INDEXED BY retry_ready LEFT JOIN retry_lane l ON l.number = t.lane >> 3
 WHERE t.state = 0 AND t.lane >= ?1
 ORDER BY t.lane, t.run_at, t.id LIMIT 1;
