-- L12: what a handler gets of tasks whose body is kept apart, or that have a note. Parameter: the ids.
SELECT t.id, {cold}, {payload}, {headers}, n.checkpoint, n.completion
  FROM {ids} STRAIGHT_JOIN retry_task t FORCE INDEX (PRIMARY) ON t.id = UNHEX(e.id)
  LEFT JOIN retry_body b FORCE INDEX (PRIMARY) ON b.id = t.id AND t.payload IS NULL
  LEFT JOIN retry_note n FORCE INDEX (PRIMARY) ON n.id = t.id
