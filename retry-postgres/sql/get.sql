-- One task with all that is kept about it. $1 id.
SELECT {record}, b.payload, b.headers, n.checkpoint, n.completion, n.early, n.output, n.last_error, n.via_fallback,
       ARRAY (SELECT f.attempt FROM {schema}.failure f WHERE f.id = t.id ORDER BY f.number)
  FROM {from}
 WHERE t.id = $1::uuid;
