-- L3, L4, L5: locks what is due in one lane behind a place. The order is the rest of the index, so nothing is sorted and no more
-- rows are locked than are given; what others have locked is passed over. The sizes are read beside, without a lock.
-- Parameters: queue, kind, level, until, time, time, id, limit.
SELECT {hot}, (SELECT b.bytes FROM retry_body b WHERE b.id = t.id) AS body_bytes,
       IF(t.noted = 1, (SELECT n.bytes FROM retry_note n WHERE n.id = t.id), 0) AS note_bytes
  FROM retry_task t FORCE INDEX (task_ready)
 WHERE t.ready = 1 AND t.queue = ? AND t.kind = ? AND t.level = ? AND t.run_at <= ?
   AND (t.run_at > ? OR (t.run_at = ? AND t.id > ?))
 ORDER BY t.run_at, t.id LIMIT ? FOR UPDATE SKIP LOCKED
