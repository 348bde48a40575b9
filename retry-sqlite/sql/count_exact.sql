-- Counts to the end. ?1 queue, NULL for all.
SELECT l.queue, t.state, sum(t.n)
  FROM (SELECT lane >> 3 AS number, state, count(*) AS n FROM retry_task GROUP BY 1, 2) t
  JOIN retry_lane l ON l.number = t.number
 WHERE ?1 IS NULL OR l.queue = ?1
 GROUP BY l.queue, t.state;
