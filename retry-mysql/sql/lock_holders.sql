-- L2: locks the holders of unique keys and reads them; one that is about to be committed is waited for. Parameter: a list of
-- [kind, key] in hexadecimal digits, sorted.
SELECT {hot}, IF(t.total > 0, t.settings, NULL) AS settings, e.n
  FROM (SELECT j.n, j.kind, j.k FROM JSON_TABLE(?, '$[*]' COLUMNS (n FOR ORDINALITY,
          kind VARCHAR(256) CHARACTER SET latin1 PATH '$[0]', k VARCHAR(510) CHARACTER SET latin1 PATH '$[1]')) j) e
  STRAIGHT_JOIN retry_task t FORCE INDEX (task_key) ON t.kind = UNHEX(e.kind) AND t.held_key = UNHEX(e.k) FOR UPDATE
