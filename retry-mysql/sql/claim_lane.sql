-- L3, L4, L5: locks what is due in one lane behind a place. The places are read from the index without a lock, then the rows are
-- locked by their ids, so that nothing but what is given is locked: a locking read of the index would also lock the entry behind
-- the last one, often the head of another lane, and another claim would pass over that. What others have locked, or changed
-- meanwhile, comes as a place alone. The order is the rest of the index, so nothing is sorted. The size of a note is read without a lock.
-- Parameters: queue, kind, level, until, time, time, id, limit, until, time, time, id.
SELECT {hot}, {cold_of_new}, t.payload, t.headers, t.bytes,
       IF(t.noted = 1, (SELECT n.bytes FROM retry_note n FORCE INDEX (PRIMARY) WHERE n.id = t.id), 0) AS note_bytes,
       e.run_at AS place, e.id AS place_id
  FROM (SELECT c.id, c.place_at AS run_at, c.place_level AS level FROM retry_task c FORCE INDEX (task_place)
         WHERE c.state = 0 AND c.place_name = ? AND c.place_kind = ? AND c.place_level = ? AND c.place_at <= ?
           AND (c.place_at > ? OR (c.place_at = ? AND c.id > ?))
         ORDER BY c.place_at, c.id LIMIT ?) e
  LEFT JOIN retry_task t FORCE INDEX (PRIMARY)
    ON t.id = e.id AND t.state = 0 AND t.level = e.level AND t.run_at <= ? AND (t.run_at > ? OR (t.run_at = ? AND t.id > ?))
   FOR UPDATE SKIP LOCKED
