-- purge (laws 1, 13): ARGV = now, limit. Forgets ended tasks whose time is over; one that is younger than the resend window and a
-- child of a parent that has not ended are put off. Then lost sessions that hold nothing, a page of them; of more than a page
-- those that still hold something go to the end of the line. Answers the number of tasks.
local PURGE_CHILD_DELAY, RESEND_WINDOW, PAGE, MAX_MEMBERS, MAX_SESSIONS = 3600000, 600000, 16, 10000, 1000
local limit, removed, found, parents, at = tonumber(ARGV[2]), 0, {}, {}, 0

-- The ids of due members, which hold many each; what is over the limit stays, and what is no whole id goes.
while #found < limit and at < MAX_MEMBERS do
  local page = call('ZRANGEBYSCORE', PURGES, '-inf', ARGV[1], 'WITHSCORES', 'LIMIT', at, PAGE)
  for i = 1, #page, 2 do
    local member, whole = page[i], math.floor(#page[i] / 16)
    local fits = math.min(whole, limit - #found)
    if fits > 0 or whole == 0 then
      drop(PURGES, member)
      for k = 1, fits do found[#found + 1] = sub(member, 16 * k - 15, 16 * k) end
      if whole > fits then put(PURGES, page[i + 1], sub(member, 16 * fits + 1, 16 * whole)) end
    end
  end
  if #page < 2 * PAGE then break end
  at = at + PAGE
end
load(found)
for i = 1, #found do
  local r = rows[found[i]]
  if r and not r.bad and r.parent ~= NIL then parents[#parents + 1] = r.parent end
end
load(parents)
for i = 1, #found do
  local id = found[i]
  local r = rows[id]
  if not r or r.gone or not r.bad and (not final(r.state) or r.purge > now) then         -- an entry left behind
  elseif r.bad then put(BAD, now, id)
  elseif awaited(r) then
    r.purge = math.min(now + PURGE_CHILD_DELAY, MAX_TIME)
    touch(r)
  elseif r.created + RESEND_WINDOW > now then ends_at(r.created + RESEND_WINDOW, id)
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
