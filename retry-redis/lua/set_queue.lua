-- set_queue (law 15): ARGV = queue, 1 to pause or 0 to resume.
if ARGV[2] == '1' then
  call('ZADD', PAUSED, 0, ARGV[1])
else
  call('ZREM', PAUSED, ARGV[1])
  redis.pcall('PUBLISH', READY, ARGV[1])
end
return redis.status_reply('OK')
