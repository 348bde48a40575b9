-- Takes a row out of the order: its number becomes negative. That may be taken when numbers were given twice: then it gets one so far
-- below zero that, put back by the documented statement, it is above all that the table will ever give. $1 number, $2 id, $3 reason.
UPDATE {table} o
   SET set_aside = $3::text,
       seq = CASE WHEN EXISTS (SELECT FROM {table} a WHERE a.seq = -$1::bigint)
                  THEN (SELECT least(min(a.seq), -4611686018427387904) - 1 FROM {table} a)
                  ELSE -$1::bigint END
 WHERE o.seq = $1::bigint AND o.id = $2::uuid;
