-- L5: the head of a kind's first lane at or above a level, due or not. ?1 queue, ?2 kind, ?3 level.
-- One seek per lane that has tasks and one to find the end; lanes of other kinds and future tasks cost nothing (L13).
SELECT level, run_at, id FROM retry_task INDEXED BY retry_ready
 WHERE state = 0 AND queue = ?1 AND kind = ?2 AND level >= ?3
 ORDER BY level, run_at, id LIMIT 1;
