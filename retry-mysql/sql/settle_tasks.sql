-- L6, L7: what most settles write, many at once: the end of an attempt that changes nothing but its state and its times. It sets a
-- third of the columns of `update_tasks`, and takes half of its time. Parameters: a list of [id, nonce, purge], state, alarm, now.
UPDATE JSON_TABLE(?, '$[*]' COLUMNS (
         id CHAR(32) CHARACTER SET latin1 PATH '$[0]', nonce BIGINT PATH '$[1]', purge_at BIGINT PATH '$[2]')) e
  STRAIGHT_JOIN retry_task t FORCE INDEX (PRIMARY) ON t.id = UNHEX(e.id)
   SET t.state = ?, t.session = '', t.alarm_at = ?, t.purge_at = e.purge_at, t.updated_at = ?,
       t.version = t.version + 1, t.last_nonce = e.nonce
