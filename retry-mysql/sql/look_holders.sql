-- L2: reads the holders of unique keys without a lock, as they are committed now. Parameter: a list of [kind, key] in hexadecimal
-- digits.
SELECT {hot}, NULL AS settings, e.n
  FROM JSON_TABLE(?, '$[*]' COLUMNS (n FOR ORDINALITY,
         kind VARCHAR(256) CHARACTER SET latin1 PATH '$[0]', k VARCHAR(510) CHARACTER SET latin1 PATH '$[1]')) e
  STRAIGHT_JOIN retry_task t FORCE INDEX (task_key) ON t.kind = UNHEX(e.kind) AND t.held_key = UNHEX(e.k)
