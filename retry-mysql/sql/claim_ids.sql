-- L3: locks the named tasks of a queue that are due; what others have locked is passed over. Parameters: the ids, queue, from, until.
SELECT {hot}, {cold_of_new}, t.payload, t.headers, t.bytes,
       IF(t.noted = 1, (SELECT n.bytes FROM retry_note n FORCE INDEX (PRIMARY) WHERE n.id = t.id), 0) AS note_bytes
  FROM {ids_to_lock} STRAIGHT_JOIN retry_task t FORCE INDEX (PRIMARY) ON t.id = UNHEX(e.id)
 WHERE t.state = 0 AND t.queue = ? AND t.run_at >= ? AND t.run_at <= ? FOR UPDATE SKIP LOCKED
