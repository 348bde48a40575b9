-- L9, L15: no row: the session is lost or unknown. The shared lock keeps it from being marked lost until the claim is
-- committed. Then: whether the queue is paused. Parameters: queue, session.
SELECT (SELECT COUNT(*) FROM retry_paused p WHERE p.queue = ?) FROM retry_session s
 WHERE s.id = ? AND s.lost = 0 LOCK IN SHARE MODE
