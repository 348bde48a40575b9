-- L11, L12: one task with everything that is kept beside its history, in one statement: one point in time. Parameter: the id.
SELECT {hot}, {cold}, {payload}, {headers}, n.checkpoint, n.completion, n.early AS early_completion, n.output, n.last_error,
       n.via_fallback
  FROM retry_task t LEFT JOIN retry_body b FORCE INDEX (PRIMARY) ON b.id = t.id AND t.payload IS NULL
  LEFT JOIN retry_note n FORCE INDEX (PRIMARY) ON n.id = t.id WHERE t.id = ?
