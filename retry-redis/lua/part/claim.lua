-- Claims (laws 3, 4, 5, 7, 14, 15): lane by lane within each level, or by ids.
-- A claim: '>c16I2I2I2i8i8BI2I2' session limit suspects kinds not_before not_after by_ids ids marks, the queue, then for
-- each kind its limit and name, each id, and each mark as '>I2Bi8c16' kind level run_at id.
local EARLIEST, ENTRY = -9007199254740992, 24          -- an entry of READY: its lane, the due time, the id
local MOST_ASIDE = 1000                                -- what one claim puts aside, about
local budget = 8388608                                 -- bytes of texts that one call carries

local function parse_claim(at)
  local c = {names = {}, left = {}, wanted = {}, marks = {}}
  local kinds, ids, marks, by_ids
  c.sid, c.limit, c.suspects, kinds, c.lo, c.hi, by_ids, ids, marks = unp('>c16I2I2I2i8i8BI2I2', ARGV[at])
  c.by_ids, c.queue = by_ids == 1, ARGV[at + 1]
  c.till, c.next_due, c.cut, c.bad, c.odd, c.plain = math.min(c.hi, now), NONE, false, {}, {}, 0
  c.n, c.ids, c.rows, c.heads, c.rests, c.stamp = 0, {}, {}, {}, {}, pack('>i8', now) .. c.sid
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
  if size > budget and c.n > 0 then return false end
  budget, c.limit, c.left[k] = budget - size, c.limit - 1, c.left[k] - 1
  if r.crashes > 0 then c.suspects = c.suspects - 1 end
  lease(r, c.sid)
  c.n = c.n + 1
  c.ids[c.n], c.rows[c.n] = r.id, r
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

-- A due plain row, spliced, if it stands where it belongs. Nil if it is not; false when the answer is full.
local WAITS, RUNS = '\1\0\0\0', '\1\0\0\1'
local function take_plain(c, h, id, member, s, rest)
  if not s or not rest or sub(s, 1, 4) ~= WAITS or sub(s, LANE_AT) ~= h.lane or sub(s, 57, 64) ~= sub(member, -24, -17)
    or #rest < REST_BYTES or rows[id] ~= nil then return nil end
  local size, version, attempt = unp('>I4', s, 87), unp('>I8I4', s, 5)
  if size > budget and c.n > 0 then return false end
  budget, c.limit, c.left[h.k] = budget - size, c.limit - 1, c.left[h.k] - 1
  local head = RUNS .. pack('>I8I4', MIN(version + 1, MAX_VERSION), MIN(attempt + 1, MAX_COUNT)) .. c.stamp .. sub(s, 41)
  local hot, held, n = bucket(puts, HOT), bucket(puts, HELD), c.n + 1
  hot[hot.n + 1], hot[hot.n + 2], hot.n = id, head, hot.n + 2
  held[held.n + 1], held[held.n + 2], held.n = ZERO, c.sid .. id, held.n + 2
  c.plain, c.n, c.ids[n], c.heads[n], c.rests[n] = c.plain + 1, n, id, head, rest
  return true
end

local function peek(from, till) return call('ZRANGEBYLEX', READY, from, till, 'LIMIT', 0, 1)[1] end

local function is_entry(lane, member) return #member == #lane + ENTRY and byte(member, #lane + 1) <= 1 end

-- What stands in a lane and is no entry of it tells of no row that could be reported: it leaves the lane, and is kept to be seen.
local function put_aside(c, member)
  misplaced(READY, member)
  c.odd[#c.odd + 1] = member
end

local function has_aside_enough(c)
  if #c.bad + #c.odd < MOST_ASIDE then return false end
  c.cut = true
  return true
end

-- The first entry of a lane from a place on; nil if there is none, or too much else before it for one call.
local function first_of(c, lane, from)
  local till = '(' .. sub(lane, 1, -2) .. char(byte(lane, -1) + 1)
  while true do
    local m = peek(from, till)
    if not m or is_entry(lane, m) then return m end
    if has_aside_enough(c) then return nil end
    put_aside(c, m)
    from = '(' .. m
  end
end

local function due_of(c, lane, entry)
  local _, due = unp('>Bi7', entry, #lane + 1)
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
          m = first_of(c, lane, from)
        elseif not is_entry(lane, m) then m = first_of(c, lane, '[' .. m) end
        local due = m and due_of(c, lane, m)
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
    local page = call('ZRANGEBYLEX', READY, from, '[' .. last, 'LIMIT', 0, n + 1)
    local found, ids, taken = {}, {}, true
    for i = 1, math.min(#page, n) do
      if is_entry(h.lane, page[i]) then
        found[#found + 1] = page[i]
        ids[#ids + 1] = sub(page[i], -16)
      else put_aside(c, page[i]) end
    end
    local heads, rests, last_taken = values_of(HOT, ids), values_of(REST, ids), 0
    for i = 1, #ids do
      taken = take_plain(c, h, ids[i], found[i], heads[i], rests[i])
      if taken == nil then
        load({ids[i]})
        local r = rows[ids[i]]
        if not r or r.bad or r.state ~= PENDING or r.was_place ~= found[i] then reject(c, ids[i], found[i], r)
        else taken = take(c, h.k, r) end
      end
      if taken == false then break end
      last_taken = i
    end
    if last_taken > 0 then strip(READY, found[1], found[last_taken]) end
    if taken == false then c.cut = true; return false end
    if #page <= n then break end
    from = '(' .. page[n]
    if has_aside_enough(c) then return false end
  end
  local m = first_of(c, h.lane, '(' .. last)
  if m then due_of(c, h.lane, m) end
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

-- Four values a task: id, the record's two, body. And of those that have more texts: number of the task, tag, text.
local function answer(c)
  local out, texts, fields = {}, {}, {}
  for i, r in pairs(c.rows) do
    c.heads[i], c.rests[i] = r.raw, r.rest
    cold_fields(r, CLAIMED_TAGS, function(field, tag)
      local n = #fields + 1
      fields[n], texts[3 * n - 2], texts[3 * n - 1], texts[3 * n] = field, i, tag, false
    end)
  end
  local bodies, values = values_of(BLOB, c.ids), values_of(BLOB, fields)
  for n = 1, #fields do texts[3 * n] = values[n] end
  for i = 1, c.n do
    local n = 4 * i
    out[n - 3], out[n - 2], out[n - 1], out[n] = c.ids[i], c.heads[i], c.rests[i], bodies[i]
  end
  if c.cut then c.next_due = now end
  return {0, out, texts, c.bad, c.next_due < NONE and math.max(c.next_due, now), c.odd}
end

-- Answers {0, tasks, texts, ids put aside, next due or nothing, other entries put aside}, or {1} for a lost session.
local function claim(c)
  if not live(c.sid) then return {1} end
  if call('ZSCORE', PAUSED, c.queue) then return {0, {}, {}, {}, false, {}} end
  if c.by_ids then by_ids(c) elseif c.limit > 0 then by_lanes(c) end
  if c.plain > 0 then
    tally(c.queue, PENDING, -c.plain)
    tally(c.queue, RUNNING, c.plain)
  end
  flush()
  return answer(c)
end
