-- As session_claims, inside a transaction of the user's own, which may stay open for long: without locks, so that it keeps nobody
-- from renewing, closing or marking its session. A task that is born under a session lost meanwhile is rescued.
-- Parameter: a list of [session, queue in hexadecimal digits].
SELECT e.n, (SELECT COUNT(*) FROM retry_paused p WHERE p.queue = UNHEX(e.queue))
  FROM JSON_TABLE(?, '$[*]' COLUMNS (n FOR ORDINALITY, session CHAR(32) CHARACTER SET latin1 PATH '$[0]',
         queue VARCHAR(256) CHARACTER SET latin1 PATH '$[1]')) e
  STRAIGHT_JOIN retry_session s FORCE INDEX (PRIMARY) ON s.id = UNHEX(e.session)
 WHERE s.lost = 0
