-- The cache: rows and keys as this call sees them. Every decision is made on it; `flush` writes the difference.
-- ARGV[1] of a script with this part is the caller's `now`.
local now = tonumber(ARGV[1])
local rows, dirty, holders, slots = {}, {}, {}, {}

-- Values of a hash, up to 2,000 a command.
local function values_of(key, ids)
  if #ids <= 2000 then return #ids > 0 and call('HMGET', key, unpack(ids)) or {} end
  local out, n = {}, #ids
  for at = 1, n, 2000 do
    local got = call('HMGET', key, unpack(ids, at, math.min(at + 1999, n)))
    for i = 1, #got do out[at + i - 1] = got[i] end
  end
  return out
end

-- Reads rows. A row is a table, false if there is none, and `bad` if it cannot be read. What is no id has no row.
local function load(ids)
  local want, n = {}, 0
  for i = 1, #ids do
    local id = ids[i]
    if rows[id] == nil then
      rows[id] = false
      if #id == 16 then n = n + 1; want[n] = id end
    end
  end
  local heads, rests = values_of(HOT, want), values_of(REST, want)
  for i = 1, n do
    local id, s = want[i], heads[i]
    if s then rows[id] = decode(id, s, rests[i]) or {id = id, bad = true} end
  end
end

local function touch(r)
  if not r.dirty then r.dirty = true; dirty[#dirty + 1] = r end
end

local function set_due(r, at) r.run_at = at; r.run8 = sortable(at) end

local function live(sid)
  local s = call('HGET', SESSIONS, sid)
  return s and #s >= 9 and byte(s, 1) == 0 or false
end

-- Unique keys: the slot is kind .. 0 .. key, unique per kind.
local function slot_of(r) return r.key and sub(r.lane, #r.queue + 2) .. r.key end

-- The row that holds a slot; nil if nobody does. A holder that is not stored holds nothing.
local function holder_of(slot)
  local id = holders[slot]
  if id == nil then id = call('HGET', UNIQUE, slot); holders[slot] = id end
  if not id then return nil end
  if rows[id] == nil then load({id}) end
  local r = rows[id]
  if r and not r.gone then return r end
  return nil
end
local function set_slot(slot, id) holders[slot] = id; slots[slot] = true end
local function free_slot(r)
  local slot = slot_of(r)
  if slot and has(r.flags, 2) then
    local holder = holder_of(slot)
    if not holder or holder.id == r.id then set_slot(slot, false) end
  end
end

-- Cold values; nil clears.
local function write_cold(r, tag, value)
  local bit = 2 ^ tag
  if value then
    if not has(r.cold, bit) then r.cold = r.cold + bit end
  elseif has(r.cold, bit) then r.cold = r.cold - bit
  else return end
  r.written = r.written or {}
  r.written[tag] = value or false
end
local function read_cold(r, tag)
  if r.written and r.written[tag] ~= nil then return r.written[tag] end
  return has(r.cold, 2 ^ tag) and call('HGET', BLOB, r.id .. char(tag))
end

-- Pending to running: what `machine::claim` does.
local function lease(r, sid)
  r.state, r.session, r.updated = RUNNING, sid, now
  r.attempt, r.version = math.min(r.attempt + 1, MAX_COUNT), math.min(r.version + 1, MAX_VERSION)
  r.alarm = r.deadline >= 0 and math.min(now + r.deadline, MAX_TIME) or NONE
  touch(r)
end

-- The end or the rerun of a child is counted at its parent, which then does what `machine::join` says.
local REDUCE = 0
local function tell_parent(r, was, state)
  if r.parent == NIL or final(was) == final(state) then return end
  if rows[r.parent] == nil then load({r.parent}) end
  local p = rows[r.parent]
  if not p or p.bad or p.gone then return end
  if final(state) then
    p.open = math.max(p.open - 1, 0)
    if state ~= SUCCEEDED then p.failed = p.failed + 1 end
  else
    p.open = p.open + 1
    if was ~= SUCCEEDED then p.failed = math.max(p.failed - 1, 0) end
  end
  touch(p)
  if p.state ~= JOINING or p.open > 0 then return end
  if p.flags % 2 == 1 or (p.failed > 0 and p.policy % 4 ~= REDUCE) then
    p.alarm, p.updated = now, now
    touch(p)
  else
    p.state, p.alarm, p.updated = PENDING, NONE, now
    set_due(p, now)
    touch(p)
  end
end

-- A child whose parent has not ended is not forgotten.
local function awaited(r)
  if r.parent == NIL then return false end
  if rows[r.parent] == nil then load({r.parent}) end
  local p = rows[r.parent]
  return p and not p.bad and not p.gone and not final(p.state)
end
