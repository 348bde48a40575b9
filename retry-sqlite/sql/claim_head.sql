-- L5: the head of a kind's first lane at or above a level, due or not. ?1 the lane of that level: the last of the kind
-- is ?1 | 7. One seek per lane that has tasks and one to find the end; lanes of other kinds and future tasks cost nothing
-- (L13).
SELECT lane & 7, run_at, id FROM retry_task INDEXED BY retry_ready
 WHERE state = 0 AND lane >= ?1 AND lane <= ?1 | 7
 ORDER BY lane, run_at, id LIMIT 1;
