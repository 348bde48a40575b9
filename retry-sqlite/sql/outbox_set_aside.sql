-- Takes a row out of the order: its number becomes negative, or the next below all others where that is taken, which happens when
-- numbers were given twice. ?1 number, ?2 id, ?3 reason.
UPDATE {table}
   SET set_aside = ?3,
       seq = CASE WHEN EXISTS (SELECT 1 FROM {table} a WHERE a.seq = -?1)
                  THEN (SELECT min(a.seq) - 1 FROM {table} a)
                  ELSE -?1 END
 WHERE seq = ?1 AND id = ?2;
