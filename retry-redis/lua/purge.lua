-- purge (laws 1, 13): ARGV = now, limit. Forgets ended tasks whose time is over; a child of a parent that has not ended is put
-- off by an hour. Then lost sessions that hold nothing, a page of them; of more than a page those that still hold something go to
-- the end of the line. Answers the number of tasks.
local PURGE_CHILD_DELAY, MAX_SESSIONS = 3600000, 1000
local found = call('ZRANGEBYSCORE', PURGES, '-inf', ARGV[1], 'LIMIT', 0, tonumber(ARGV[2]))
local removed, parents = 0, {}
load(found)
for i = 1, #found do
  local r = rows[found[i]]
  if r and not r.bad and r.parent ~= NIL then parents[#parents + 1] = r.parent end
end
load(parents)
for i = 1, #found do
  local r = rows[found[i]]
  if not r or not r.bad and not final(r.state) then drop(PURGES, found[i])               -- an entry left behind
  elseif r.bad then drop(PURGES, found[i]); put(BAD, now, found[i])
  elseif awaited(r) then
    r.purge = math.min(now + PURGE_CHILD_DELAY, MAX_TIME)
    touch_field(r)
  else
    free_slot(r)
    r.gone = true
    touch(r)
    removed = removed + 1
  end
end
local lost = call('ZRANGE', LOST, 0, MAX_SESSIONS - 1)
local behind = #lost == MAX_SESSIONS and tonumber(call('ZRANGE', LOST, -1, -1, 'WITHSCORES')[2]) + 1
for i = 1, #lost do
  if call('ZLEXCOUNT', HELD, '[' .. lost[i], '[' .. lost[i] .. LAST) == 0 then
    drop(LOST, lost[i])
    drop(SESSIONS, lost[i])
  elseif behind then put(LOST, behind, lost[i]) end
end
flush()
return removed
