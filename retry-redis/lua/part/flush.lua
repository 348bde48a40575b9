-- The one place that writes: collects by key, checks every key's type, then sends few variadic commands.
-- What is taken away goes first: at the memory limit Redis refuses additions, but never after a script's first write, so a
-- full server still drains and no script stops half-way.
local ADD, REMOVE = {hash = 'HSET', zset = 'ZADD'}, {hash = 'HDEL', zset = 'ZREM'}
local WAKE_AHEAD = 2000
local drops, strips, puts, ends, counts, woken = {}, {}, {}, {}, {}, {}
local STATE = {}
for state = PENDING, CANCELLED do STATE[state] = '\0' .. state end

-- What is to be written to a key.
local function bucket(all, key)
  local t = all[key]
  if not t then t = {n = 0}; all[key] = t end
  return t
end

local function drop(key, member)
  local t = bucket(drops, key)
  t.n = t.n + 1
  t[t.n] = member
end

-- All members of a set without scores from one to another, both included: one command, whatever lies between them.
local function strip(key, from, till) strips[#strips + 1] = {key = key, from = from, till = till} end

-- Score and member, or field and value.
local function put(key, a, b)
  local t = bucket(puts, key)
  local n = t.n
  t[n + 1], t[n + 2], t.n = a, b, n + 2
end

-- A member that has not the form of its index is damage: it leaves the index and is kept to be seen.
local function misplaced(key, member)
  drop(key, member)
  put(BAD, now, member)
end

-- A task to be forgotten at a time. Those of one call and one time are one member of PURGES: all their ids in a row. What stands
-- there and does not fit its row any more is passed over by `purge.lua`.
local function ends_at(time, id)
  local t = bucket(ends, time)
  t.n = t.n + 1
  t[t.n] = id
end

local function tally(queue, state, by)
  local field = queue .. STATE[state]
  counts[field] = (counts[field] or 0) + by
end

-- The difference between what the indexes hold of a row and what they shall hold.
local function index(r)
  local id, state = r.id, not r.gone and r.state
  local at = state == PENDING and place(r)
  if at ~= r.was_place then
    if r.was_place then drop(READY, r.was_place) end
    if at then put(READY, ZERO, at) end
    r.was_place = at
  end
  if at and r.run_at <= now + WAKE_AHEAD then woken[r.queue] = true end
  local owner = state == RUNNING and r.session .. id
  if owner ~= r.was_owner then
    if r.was_owner then drop(HELD, r.was_owner) end
    if owner then put(HELD, ZERO, owner) end
    r.was_owner = owner
  end
  local cancel = owner and r.flags % 2 == 1 and owner
  if cancel ~= r.was_cancel then
    if r.was_cancel then drop(CANCELS, r.was_cancel) end
    if cancel then put(CANCELS, ZERO, cancel) end
    r.was_cancel = cancel
  end
  local alarm, purge = state and r.alarm or NONE, state and r.purge or NONE
  if alarm ~= r.was_alarm then
    if alarm ~= NONE then put(ALARMS, alarm, id) else drop(ALARMS, id) end
    r.was_alarm = alarm
  end
  if purge ~= r.was_purge then
    if r.was_purge ~= NONE then drop(PURGES, id) end
    if purge ~= NONE then ends_at(purge, id) end
    r.was_purge = purge
  end
  local was = r.was_state
  if state ~= was then
    if was then
      tally(r.queue, was, -1)
      if was == 2 or was == 3 or was > 4 then drop(LISTED, char(was) .. id) end
    end
    if state then
      tally(r.queue, state, 1)
      if state == 2 or state == 3 or state > 4 then put(LISTED, ZERO, char(state) .. id) end
    end
    r.was_state = state
  end
end

local function store(r)
  local id, fresh = r.id, not r.stored
  index(r)
  if r.gone then
    drop(HOT, id); drop(REST, id); drop(IDS, id); drop(BLOB, id)
    cold_fields(r, ALL_TAGS, function(field) drop(BLOB, field) end)
    for k = 0, math.min(r.fails, KEPT) - 1 do drop(BLOB, id .. char(HISTORY + k)) end
    if r.parent ~= NIL then drop(CHILDREN, r.parent .. id) end
    rows[id] = false
    return
  end
  if r.failures then
    for i = 1, #r.failures do
      put(BLOB, id .. char(HISTORY + r.fails % KEPT), r.failures[i])
      r.fails = r.fails + 1
    end
    r.failures = false
  end
  r.raw = encode(r)
  put(HOT, id, r.raw)
  local rest = encode_rest(r)
  if fresh or rest ~= r.rest then put(REST, id, rest) end
  r.rest = rest
  if r.body then put(BLOB, id, r.body); r.body = false end
  if r.written then
    for tag, value in pairs(r.written) do
      if value then put(BLOB, id .. char(tag), value) else drop(BLOB, id .. char(tag)) end
    end
    r.written = false
  end
  if fresh then
    put(IDS, ZERO, id)
    if r.parent ~= NIL then put(CHILDREN, ZERO, r.parent .. id) end
    r.stored = true
  end
  r.dirty = false
end

local function send(commands, all)
  for k = 1, #KEYS do
    local key = KEYS[k]
    local t = all[key]
    if t then
      local command = commands[TYPES[key] or 'zset']
      for at = 1, t.n, 4000 do call(command, key, unpack(t, at, math.min(at + 3999, t.n))) end
    end
  end
end

-- Nothing above has written; nothing in here decides.
local function flush()
  for i = 1, #dirty do store(dirty[i]) end
  for slot in pairs(slots) do
    if holders[slot] then put(UNIQUE, slot, holders[slot]) else drop(UNIQUE, slot) end
  end
  for time, ids in pairs(ends) do put(PURGES, time, table.concat(ids)) end
  for key in pairs(drops) do check(key) end
  for i = 1, #strips do check(strips[i].key) end
  for key in pairs(puts) do check(key) end
  send(REMOVE, drops)
  for i = 1, #strips do call('ZREMRANGEBYLEX', strips[i].key, '[' .. strips[i].from, '[' .. strips[i].till) end
  send(ADD, puts)
  for field, by in pairs(counts) do
    if by ~= 0 then
      local n = redis.pcall('HINCRBY', COUNTS, field, by)
      if type(n) ~= 'number' or n <= 0 then redis.pcall('HDEL', COUNTS, field) end
    end
  end
  -- The hint's channel has the name of the index it tells of. A user without the right to it has no hints.
  for queue in pairs(woken) do redis.pcall('PUBLISH', READY, queue) end
  drops, strips, puts, ends, counts, woken, dirty, slots = {}, {}, {}, {}, {}, {}, {}, {}
end
