-- Claimed tasks as they are now, with what a claim answers. $1 ids.
SELECT {record}, b.payload, b.headers, n.checkpoint, n.completion
  FROM {from}
 WHERE t.id = ANY ($1::uuid[]);
