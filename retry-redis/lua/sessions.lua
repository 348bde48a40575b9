-- sessions: ids and records in turn.
return call('HGETALL', SESSIONS)
