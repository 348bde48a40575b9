-- O3, O4, O7: removes what was handed over, and answers the first rows of the rest. One statement, which writes nothing when nothing
-- was handed over. The answer is of the time before the removal, so it leaves those rows out by itself. `IS TRUE` and `IS NOT TRUE`
-- keep the planner from turning the conditions into joins. A length is read without its body. Of a body
-- that is larger than any write takes, the answer has so much that this shows: no character is less than a byte.
-- $1 numbers, as they were and below zero, and $2 ids handed over, $3 rows and $4 bytes of the answer.
WITH gone AS (
  DELETE FROM {table}
   WHERE seq = ANY ($1::bigint[]) AND ((seq, id) IN (SELECT h.* FROM unnest($1::bigint[], $2::uuid[]) h)) IS TRUE
)
SELECT w.seq, w.id, w.created_at, left(w.body, 2097153)
  FROM (SELECT f.*, row_number() OVER first_rows AS place, sum(octet_length(f.body)) OVER first_rows AS bytes
          FROM (SELECT o.seq, o.id, o.created_at, o.body
                  FROM {table} o
                 WHERE o.seq > 0
                   AND ((o.seq, o.id) IN (SELECT h.* FROM unnest($1::bigint[], $2::uuid[]) h)) IS NOT TRUE
                 ORDER BY o.seq LIMIT $3::bigint) f
        WINDOW first_rows AS (ORDER BY f.seq ROWS UNBOUNDED PRECEDING)) w
 WHERE w.place = 1 OR w.bytes <= $4::bigint
 ORDER BY w.seq;
