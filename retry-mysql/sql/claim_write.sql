-- L3, L6, L7: makes locked tasks running. It finds each as it was read, or the claim starts anew. Parameters: a list of
-- [id, attempt, version, alarm], session, now.
UPDATE JSON_TABLE(?, '$[*]' COLUMNS (
         id CHAR(32) CHARACTER SET latin1 PATH '$[0]', attempt INT PATH '$[1]', version BIGINT PATH '$[2]',
         alarm_at BIGINT PATH '$[3]')) e
  STRAIGHT_JOIN retry_task t FORCE INDEX (PRIMARY) ON t.id = UNHEX(e.id)
   SET t.state = 1, t.attempt = e.attempt, t.version = e.version, t.session = ?, t.updated_at = ?, t.alarm_at = e.alarm_at
 WHERE t.state = 0 AND t.version = e.version - 1
