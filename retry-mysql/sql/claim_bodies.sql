-- L12: what a handler gets. Parameter: the ids.
SELECT b.id, {cold}, b.payload, b.headers, n.checkpoint, n.completion
  FROM {ids} STRAIGHT_JOIN retry_body b FORCE INDEX (PRIMARY) ON b.id = UNHEX(e.id)
  LEFT JOIN retry_note n FORCE INDEX (PRIMARY) ON n.id = b.id
