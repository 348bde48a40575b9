-- Forgets single failed attempts, the oldest of a full history. Parameter: a list of [id, number].
DELETE t FROM JSON_TABLE(?, '$[*]' COLUMNS (id CHAR(32) CHARACTER SET latin1 PATH '$[0]', number INT PATH '$[1]')) e
  STRAIGHT_JOIN retry_failure t FORCE INDEX (PRIMARY) ON t.id = UNHEX(e.id) AND t.number = e.number
