-- Claims (laws 3, 4, 5, 7, 14, 15): lane by lane within each level, or by ids.
-- A claim: '>c16I2I2I2i8i8BI2I2' session limit suspects kinds not_before not_after by_ids ids marks, the queue, then for
-- each kind its limit and name, each id, and each mark as '>I2Bi8c16' kind level run_at id.
local EARLIEST = -9007199254740992
local budget = 8388608                                 -- bytes of texts that one call carries

local function parse_claim(at)
  local c = {names = {}, left = {}, wanted = {}, marks = {}}
  local kinds, ids, marks, by_ids
  c.sid, c.limit, c.suspects, kinds, c.lo, c.hi, by_ids, ids, marks = unp('>c16I2I2I2i8i8BI2I2', ARGV[at])
  c.by_ids, c.queue = by_ids == 1, ARGV[at + 1]
  c.till, c.next_due, c.cut, c.tasks, c.bad, c.plain = math.min(c.hi, now), NONE, false, {}, {}, 0
  at = at + 2
  for k = 1, kinds do c.left[k], c.names[k] = unp('>I2', ARGV[at]), sub(ARGV[at], 3); at = at + 1 end
  for k = 1, ids do c.wanted[k] = ARGV[at]; at = at + 1 end
  for _ = 1, marks do
    local k, level, run_at, id = unp('>I2Bi8c16', ARGV[at])
    c.marks[k * 8 + level] = {run_at = run_at, id = id}
    at = at + 1
  end
  return c, at
end

-- False when the answer is full.
local function take(c, k, r)
  local size = r.size
  cold_fields(r, CLAIMED_TAGS, function(field) size = size + call('HSTRLEN', BLOB, field) end)
  if size > budget and #c.tasks > 0 then return false end
  budget, c.limit, c.left[k] = budget - size, c.limit - 1, c.left[k] - 1
  if r.crashes > 0 then c.suspects = c.suspects - 1 end
  lease(r, c.sid)
  c.tasks[#c.tasks + 1] = r
  return true
end

-- A due entry without a readable row of its own is put aside: it leaves the lane and is reported.
local function reject(c, id, member, r)
  drop(READY, member)
  if not r or not r.bad and r.state ~= PENDING then return end                            -- an entry left behind
  c.bad[#c.bad + 1] = id
  put(BAD, now, id)
  if not r.bad then fail_bad(r) else tally(c.queue, PENDING, -1) end
end

local function by_ids(c)
  load(c.wanted)
  for i = 1, #c.wanted do
    local r = rows[c.wanted[i]]
    if r and not r.bad and r.state == PENDING and r.queue == c.queue and r.run_at >= c.lo and r.run_at <= c.till
      and c.limit > 0 and (r.crashes == 0 or c.suspects > 0) then
      local kind = sub(r.lane, #c.queue + 2, -2)
      for k = 1, #c.names do
        if c.names[k] == kind and c.left[k] > 0 and not take(c, k, r) then return end
      end
    end
  end
end

-- A due plain row, spliced: pending, of the member's place, without alarm, deadline, cancel and rarely written texts. Nil if it
-- is not; false when the answer is full.
local function take_plain(c, h, id, member, s)
  local level = byte(h.lane, -1)
  if not s or #s < FIXED or byte(s, 1) ~= 1 or byte(s, 2) ~= PENDING or byte(s, 3) % 2 == 1 or rows[id] ~= nil
    or sub(s, 24, 31) ~= NO_TIME or sub(s, 131, 138) ~= NO_SPAN or sub(s, 80, 81) ~= ZERO2
    or (sub(s, 8, 11) ~= ZERO4) ~= h.suspect or byte(s, 122) - byte(s, 122) % 16 ~= (level - level % 2) * 8
    or lane_of(s) .. char(level) .. sub(s, 16, 23) .. id ~= member then return nil end
  local size, attempt, version = unp('>I4', s, 86), unp('>I4', s, 4), unp('>I8', s, 64)
  if size > budget and #c.tasks > 0 then return false end
  budget, c.limit, c.left[h.k] = budget - size, c.limit - 1, c.left[h.k] - 1
  if h.suspect then c.suspects = c.suspects - 1 end
  local new = '\1\1' .. sub(s, 3, 3) .. pack('>I4', math.min(attempt + 1, MAX_COUNT)) .. sub(s, 8, 39) .. NOW8 .. c.sid
    .. pack('>I8', math.min(version + 1, MAX_VERSION)) .. sub(s, 72)
  put(HOT, id, new)
  drop(READY, member)
  put(HELD, 0, c.sid .. id)
  c.plain = c.plain + 1
  c.tasks[#c.tasks + 1] = {id = id, raw = new, cold = 0}
  return true
end

local function peek(from, till) return call('ZRANGEBYLEX', READY, from, till, 'LIMIT', 0, 1)[1] end

local function due_of(c, member, at)
  local _, due = unp('>Bi7', member, at)
  if due > c.till and due <= c.hi then c.next_due = math.min(c.next_due, due) end
  return due
end

-- The due heads of the asked lanes, by level. Only lanes that hold something are looked at, and one more a kind.
local function heads_of(c)
  local heads = {}
  for k = 1, #c.names do
    local prefix, level = c.queue .. '\0' .. c.names[k] .. '\0', 0
    while c.left[k] > 0 and level < 8 do
      local m = peek('[' .. prefix .. char(level), '(' .. prefix .. '\8')
      if not m then break end
      level = byte(m, #prefix + 1)
      local lane, mark, suspect = prefix .. char(level), c.marks[k * 8 + level], level % 2 == 1
      if not suspect or c.suspects > 0 then
        if mark or c.lo > EARLIEST then
          local from = '[' .. lane .. sortable(c.lo)
          if mark and mark.run_at >= c.lo then from = '(' .. lane .. sortable(mark.run_at) .. mark.id end
          m = peek(from, '(' .. lane .. '\2')
        end
        local due = m and due_of(c, m, #lane + 1)
        if due and due <= c.till then
          local p = (level - level % 2) / 2
          heads[p] = heads[p] or {}
          table.insert(heads[p], {due = due, id = sub(m, -16), member = m, lane = lane, k = k, suspect = suspect})
        end
      end
      level = level + 1
    end
  end
  return heads
end

-- Takes what is due from one lane. False when nothing more fits at all.
local function drain(c, h)
  local from, last = '[' .. h.member, h.lane .. sortable(c.till) .. LAST
  while true do
    local n = math.min(c.limit, c.left[h.k])
    if h.suspect then n = math.min(n, c.suspects) end
    if n == 0 then c.cut = true; return c.limit > 0 end
    local found = call('ZRANGEBYLEX', READY, from, '[' .. last, 'LIMIT', 0, n + 1)
    local ids = {}
    for i = 1, math.min(#found, n) do ids[i] = sub(found[i], -16) end
    local raw = #ids > 0 and call('HMGET', HOT, unpack(ids)) or {}
    for i = 1, #ids do
      local taken = take_plain(c, h, ids[i], found[i], raw[i])
      if taken == nil then
        load({ids[i]})
        local r = rows[ids[i]]
        if not r or r.bad or r.state ~= PENDING or r.was_place ~= found[i] then reject(c, ids[i], found[i], r)
        else taken = take(c, h.k, r) end
      end
      if taken == false then c.cut = true; return false end
    end
    if #found <= n then break end
    from = '(' .. found[n]
    if #c.bad >= 1000 then c.cut = true; return false end
  end
  local m = peek('(' .. last, '(' .. h.lane .. '\2')
  if m then due_of(c, m, #h.lane + 1) end
  return true
end

local function by_lanes(c)
  local heads = heads_of(c)
  for p = 0, 3 do
    local level = heads[p] or {}
    table.sort(level, function(a, b)
      if a.due ~= b.due then return a.due < b.due end
      return before(a.id, b.id)
    end)
    for i = 1, #level do if not drain(c, level[i]) then return end end
  end
end

-- Three values a task: row, body, and the tags and values of what else it carries.
local function answer(c)
  local out, ids, fields = {}, {}, {}
  for i = 1, #c.tasks do
    ids[i] = c.tasks[i].id
    cold_fields(c.tasks[i], CLAIMED_TAGS, function(field) fields[#fields + 1] = field end)
  end
  local bodies = #ids > 0 and call('HMGET', BLOB, unpack(ids)) or {}
  local values, n = #fields > 0 and call('HMGET', BLOB, unpack(fields)) or {}, 0
  for i = 1, #c.tasks do
    local r, mine = c.tasks[i], {}
    cold_fields(r, CLAIMED_TAGS, function(_, tag)
      n = n + 1
      mine[#mine + 1], mine[#mine + 2] = tag, values[n]
    end)
    out[3 * i - 2], out[3 * i - 1], out[3 * i] = r.id .. r.raw, bodies[i], mine
  end
  if c.cut then c.next_due = now end
  return {0, out, c.bad, c.next_due < NONE and math.max(c.next_due, now)}
end

-- Answers {0, tasks, ids put aside, next due or nothing}, or {1} for a lost session.
local function claim(c)
  if not live(c.sid) then return {1} end
  if call('ZSCORE', PAUSED, c.queue) then return {0, {}, {}, false} end
  if c.by_ids then by_ids(c) elseif c.limit > 0 then by_lanes(c) end
  if c.plain > 0 then
    tally(c.queue, PENDING, -c.plain)
    tally(c.queue, RUNNING, c.plain)
  end
  flush()
  return answer(c)
end
