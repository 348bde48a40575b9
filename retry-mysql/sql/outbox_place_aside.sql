-- Where a row goes that is set aside: its number below zero, or the next below all others where that is taken, which happens when
-- numbers were given twice. Parameters: the number, twice.
SELECT IF(EXISTS (SELECT 1 FROM {table} a WHERE a.seq = -?),
          (SELECT MIN(a.seq) - 1 FROM {table} a), -?)
