-- Rows of a listing. $1 ids, $2 a text that the payload must contain or NULL, $3 with output; what is not asked for is not
-- read.
SELECT {record}, $2::text IS NULL OR strpos(b.payload, $2::text) > 0, b.headers, n.last_error, n.via_fallback,
       CASE WHEN $3::boolean THEN n.output END
  FROM {from}
 WHERE t.id = ANY ($1::uuid[]);
