-- expired (laws 9, 13, 14): ARGV = now, mark (0 or 1), limit, cursor. The cursor is '' (start), 's' session id, or 'a' score id.
-- Scripts run one at a time, so marking is atomic against a renewal: whichever came first wins, and the other sees it.
-- Answers {[cause, id and the record's two values] of each item, ids of unreadable rows, next cursor or ''}. Causes: 'L' lost, 'D' closed, 'A' alarm.
local MAX_SESSIONS, MAX_ALARMS = 256, 10000
local limit, cursor = tonumber(ARGV[3]), ARGV[4]
local at, more, items, bad, states = cursor, '', {}, {}, {}
local START = 's' .. NIL .. NIL

local function mark()
  local over = call('ZRANGEBYSCORE', LIVE, '-inf', '(' .. ARGV[1], 'LIMIT', 0, limit)
  for i = 1, #over do
    local sid = over[i]
    local record = call('HGET', SESSIONS, sid)
    if record then put(SESSIONS, sid, '\1' .. sub(record, 2)) end
    drop(LIVE, sid)
    put(LOST, 0, sid)
    states[sid] = 'L'
  end
  limit = limit - #over
end

-- Why the tasks of a session are reported; false for a live one.
local function why(sid)
  local state = states[sid]
  if state == nil then
    local record = call('HGET', SESSIONS, sid)
    state = record and #record >= 9 and byte(record, 1) or 1
    state = state ~= 0 and (state == 2 and 'D' or 'L')
    states[sid] = state
  end
  return state
end

-- False when the limit was met and there is more.
local function report(cause, id, behind)
  if limit == 0 then
    more = at == '' and START or at
    return false
  end
  limit, at = limit - 1, behind
  local r = rows[id]
  if r.bad then bad[#bad + 1] = id
  else items[#items + 1] = {cause, r} end
  return true
end

-- The tasks of lost and of missing sessions, by (session, id).
local function held()
  local low = cursor == '' and '-' or '(' .. sub(cursor, 2)
  for _ = 1, MAX_SESSIONS do
    local m = call('ZRANGEBYLEX', HELD, low, '+', 'LIMIT', 0, 1)[1]
    if not m then return true end
    local sid, is_entry = sub(m, 1, 16), #m == 32
    local cause, last = is_entry and why(sid), is_entry and sid .. LAST or m
    local from = '[' .. m
    if not is_entry then misplaced(HELD, m) end        -- a part of a session's id would stand for others that live
    while cause do
      local asked = limit + 1
      local found, ids = call('ZRANGEBYLEX', HELD, from, '[' .. last, 'LIMIT', 0, asked), {}
      for i = 1, #found do ids[i] = sub(found[i], 17) end
      load(ids)
      for i = 1, #ids do
        local r = rows[ids[i]]
        if #found[i] ~= 32 then misplaced(HELD, found[i])
        elseif not r or (not r.bad and r.was_owner ~= found[i]) then drop(HELD, found[i])   -- an entry left behind
        elseif not report(cause, ids[i], 's' .. found[i]) then return false
        elseif r.bad then drop(HELD, found[i]); put(BAD, now, ids[i]) end
      end
      if #found < asked then break end
      from = '(' .. found[#found]
    end
    low = '(' .. last
    if is_entry and not cause then at = 's' .. last end
  end
  more = at
  return false
end

-- The rank behind the cursor, and how many entries of its time are left to skip.
local function first_alarm()
  if sub(cursor, 1, 1) ~= 'a' then return 0 end
  local score, id = unp('>i8', cursor, 2), sub(cursor, 10)
  local stored = call('ZSCORE', ALARMS, id)
  if stored and tonumber(stored) == score then return call('ZRANK', ALARMS, id) + 1 end
  return call('ZCOUNT', ALARMS, '-inf', '(' .. string.format('%.0f', score)), score, id
end

-- Due alarms of the others, by (alarm_at, id).
local function alarms()
  local rank, score, id = first_alarm()
  local examined = 0
  while examined < MAX_ALARMS do
    local page = call('ZRANGE', ALARMS, rank, rank + math.min(limit, 999), 'WITHSCORES')
    local ids = {}
    for i = 1, #page, 2 do ids[#ids + 1] = page[i] end
    load(ids)
    for i = 1, #ids do
      local due, r = tonumber(page[2 * i]), rows[ids[i]]
      if due > now then return end
      local behind = 'a' .. pack('>i8', due) .. ids[i]
      local is_id = #ids[i] == 16
      local passed = is_id and due == score and not before(id, ids[i])
      if not is_id then misplaced(ALARMS, ids[i])
      elseif not r or (not r.bad and r.was_alarm ~= due) then drop(ALARMS, ids[i])           -- an entry left behind
      elseif passed or (not r.bad and r.state == RUNNING and why(r.session)) then
        if not passed then at = behind end
      elseif not report('A', ids[i], behind) then return
      elseif r.bad then drop(ALARMS, ids[i]); put(BAD, now, ids[i]) end
    end
    if #ids == 0 then return end
    rank, examined = rank + #ids, examined + #ids
  end
  more = at
end

if ARGV[2] == '1' and limit > 0 then mark() end
if sub(cursor, 1, 1) == 'a' or held() then alarms() end
flush()
local out = {}
for i = 1, #items do
  local n, r = 4 * i, items[i][2]
  out[n - 3], out[n - 2], out[n - 1], out[n] = items[i][1], r.id, encode(r), encode_rest(r)
end
return {out, bad, more}
