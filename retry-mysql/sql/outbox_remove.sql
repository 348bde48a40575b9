-- O4: removes what was handed over. STRAIGHT_JOIN and FORCE INDEX: each row is found by its number, and no other is locked; a scan would
-- wait for the rows of open transactions. Parameter: a list of [number, id].
DELETE t FROM JSON_TABLE(?, '$[*]' COLUMNS (seq BIGINT PATH '$[0]', id CHAR(32) CHARACTER SET latin1 PATH '$[1]')) e
  STRAIGHT_JOIN {table} t FORCE INDEX (PRIMARY) ON t.seq = e.seq
 WHERE t.id = UNHEX(e.id)
