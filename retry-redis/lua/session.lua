-- Sessions (law 9): ARGV = verb, session, until, info. A record is its state (0 live, 1 lost, 2 closed), lease_until, info.
-- One that is cut is lost. What is taken away goes first, so that a server at its memory limit still renews.
local verb, sid, till = ARGV[1], ARGV[2], tonumber(ARGV[3])
for _, key in ipairs({SESSIONS, LIVE, LOST, HELD, CANCELS}) do check(key) end
local record = call('HGET', SESSIONS, sid)
local live = record and #record >= 9 and byte(record, 1) == 0
local from, last = '[' .. sid, '[' .. sid .. string.rep('\255', 16)
if verb == 'open' then
  if record then return live and 1 or 0 end
  call('HSET', SESSIONS, sid, pack('>Bi8', 0, till) .. ARGV[4])
  call('ZADD', LIVE, till, sid)
  return 1
elseif verb == 'renew' then
  if not live then return false end
  till = math.max(till, (unp('>i8', record, 2)))
  local held, cancel = call('ZLEXCOUNT', HELD, from, last), {}
  for _, member in ipairs(call('ZRANGEBYLEX', CANCELS, from, last, 'LIMIT', 0, 1000)) do
    if #member == 32 then cancel[#cancel + 1] = member else call('ZREM', CANCELS, member) end
  end
  call('ZREM', LIVE, sid)
  call('ZADD', LIVE, till, sid)
  call('HSET', SESSIONS, sid, pack('>Bi8', 0, till) .. sub(record, 10))
  return {held, cancel}
end
local holds = call('ZLEXCOUNT', HELD, from, last) > 0  -- close
call('ZREM', LIVE, sid)
if record and holds then
  call('HSET', SESSIONS, sid, '\2' .. sub(record, 2))
  call('ZADD', LOST, 0, sid)
elseif record then
  call('HDEL', SESSIONS, sid)
  call('ZREM', LOST, sid)
end
return 1
