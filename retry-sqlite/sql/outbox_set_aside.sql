-- Takes a row out of the order: its number becomes negative. That may be taken when numbers were given twice: then it gets one so far
-- below zero that, put back by the documented statement, it is above all that the table has given. ?1 number, ?2 id, ?3 reason.
UPDATE {table}
   SET set_aside = ?3,
       seq = CASE WHEN EXISTS (SELECT 1 FROM {table} a WHERE a.seq = -?1)
                  THEN (SELECT min(min(a.seq), -4611686018427387904) - 1 FROM {table} a)
                  ELSE -?1 END
 WHERE seq = ?1 AND id = ?2;
