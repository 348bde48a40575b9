-- time: the server's seconds and microseconds. The only script that asks for it.
return redis.call('TIME')
