-- L11: what a listing shows besides. Parameters: with output, with payload, the ids.
SELECT b.id, {cold}, n.last_error, n.via_fallback, b.headers, IF(? = 1, n.output, NULL) AS output,
       IF(? = 1, b.payload, NULL) AS payload
  FROM {ids} STRAIGHT_JOIN retry_body b FORCE INDEX (PRIMARY) ON b.id = UNHEX(e.id)
  LEFT JOIN retry_note n FORCE INDEX (PRIMARY) ON n.id = b.id
