-- O3, O7: the first rows. What does not fit is found out from the lengths alone. Of a body that is larger
-- than any write takes, the answer has so much that this shows: no character is less than a byte. Parameters: rows, bytes.
SELECT t.seq, t.id, t.created_at, LEFT(t.body, 2097153)
  FROM (SELECT f.seq, ROW_NUMBER() OVER (ORDER BY f.seq) AS place,
               SUM(f.bytes) OVER (ORDER BY f.seq ROWS UNBOUNDED PRECEDING) AS upto
          FROM (SELECT o.seq, o.bytes FROM {table} o FORCE INDEX (PRIMARY)
                 WHERE o.seq > 0 ORDER BY o.seq LIMIT ?) f) w
  STRAIGHT_JOIN {table} t FORCE INDEX (PRIMARY) ON t.seq = w.seq
 WHERE w.place = 1 OR w.upto <= ?
 ORDER BY w.seq
