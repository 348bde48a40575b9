-- L11: what a listing shows besides. Parameters: with output, with payload, the ids.
SELECT t.id, {cold}, n.last_error, n.via_fallback, {headers}, IF(? = 1, n.output, NULL) AS output,
       IF(? = 1, {payload}, NULL) AS payload, t.payload IS NULL AND b.id IS NULL AS lost
  FROM {ids} STRAIGHT_JOIN retry_task t FORCE INDEX (PRIMARY) ON t.id = UNHEX(e.id)
  LEFT JOIN retry_body b FORCE INDEX (PRIMARY) ON b.id = t.id AND t.payload IS NULL
  LEFT JOIN retry_note n FORCE INDEX (PRIMARY) ON n.id = t.id
