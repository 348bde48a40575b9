-- L9, L15: whether sessions may claim from queues, for a whole call in one statement, so that all its claims see the same moment.
-- No row: the session is lost or unknown. The shared lock keeps it from being marked lost until the call is committed; the list
-- is sorted by the sessions, as that of `session_mark` is. Then: whether the queue is paused.
-- Parameter: a list of [session, queue in hexadecimal digits].
SELECT e.n, (SELECT COUNT(*) FROM retry_paused p WHERE p.queue = UNHEX(e.queue))
  FROM (SELECT j.n, j.session, j.queue FROM JSON_TABLE(?, '$[*]' COLUMNS (n FOR ORDINALITY,
          session CHAR(32) CHARACTER SET latin1 PATH '$[0]', queue VARCHAR(256) CHARACTER SET latin1 PATH '$[1]')) j) e
  STRAIGHT_JOIN retry_session s FORCE INDEX (PRIMARY) ON s.id = UNHEX(e.session)
 WHERE s.lost = 0 LOCK IN SHARE MODE
