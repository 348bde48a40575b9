-- Where a row goes that is set aside: its number below zero. That may be taken when numbers were given twice: then one so far below zero
-- that, put back by the documented statement, the row is above all that the table has given. Parameters: the number, twice.
SELECT IF(EXISTS (SELECT 1 FROM {table} a WHERE a.seq = -?),
          (SELECT LEAST(MIN(a.seq), -4611686018427387904) - 1 FROM {table} a), -?)
