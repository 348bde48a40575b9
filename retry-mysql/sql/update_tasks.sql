-- L6, L8: writes rows that this transaction has locked. Parameter: a list of rows in the order of the columns below.
UPDATE JSON_TABLE(?, '$[*]' COLUMNS (
         id CHAR(32) CHARACTER SET latin1 PATH '$[0]', level TINYINT PATH '$[1]', state TINYINT PATH '$[2]',
         run_at BIGINT PATH '$[3]', attempt INT PATH '$[4]', crashes INT PATH '$[5]', step INT PATH '$[6]',
         version BIGINT PATH '$[7]', last_nonce BIGINT PATH '$[8]', session CHAR(32) CHARACTER SET latin1 PATH '$[9]',
         cancel_requested TINYINT PATH '$[10]', alarm_at BIGINT PATH '$[11]', purge_at BIGINT PATH '$[12]',
         updated_at BIGINT PATH '$[13]', holds_key TINYINT PATH '$[14]', total INT PATH '$[15]', open INT PATH '$[16]',
         failed INT PATH '$[17]', failures INT PATH '$[18]', noted TINYINT PATH '$[19]', early TINYINT PATH '$[20]')) e
  STRAIGHT_JOIN retry_task t FORCE INDEX (PRIMARY) ON t.id = UNHEX(e.id)
   SET t.level = e.level, t.state = e.state, t.run_at = e.run_at, t.attempt = e.attempt, t.crashes = e.crashes,
       t.step = e.step, t.version = e.version, t.last_nonce = e.last_nonce, t.session = UNHEX(e.session),
       t.cancel_requested = e.cancel_requested, t.alarm_at = e.alarm_at, t.purge_at = e.purge_at,
       t.updated_at = e.updated_at, t.holds_key = e.holds_key, t.total = e.total, t.open = e.open, t.failed = e.failed,
       t.failures = e.failures, t.noted = e.noted, t.early = e.early
