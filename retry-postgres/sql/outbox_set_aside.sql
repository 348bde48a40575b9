-- Takes a row out of the order: its number becomes negative, or the next below all others where that is taken, which happens when
-- numbers were given twice. $1 number, $2 id, $3 reason.
UPDATE {table} o
   SET set_aside = $3::text,
       seq = CASE WHEN EXISTS (SELECT FROM {table} a WHERE a.seq = -$1::bigint)
                  THEN (SELECT min(a.seq) - 1 FROM {table} a)
                  ELSE -$1::bigint END
 WHERE o.seq = $1::bigint AND o.id = $2::uuid;
