-- Inserts. A new task is four arguments: its id, with mode and session behind it ('>Bc16') unless these say nothing; its record's
-- two values; its body.
-- mode: 1 replace a pending holder's payload, 2 its due time, 4 a replacing task at all, 8 born leased.
local function parse_new(at)
  local id, body = sub(ARGV[at], 1, 16), ARGV[at + 3]
  local mode, sid = 0, NIL
  if #ARGV[at] > 16 then mode, sid = unp('>Bc16', ARGV[at], 17) end
  local r = decode(id, ARGV[at + 1], ARGV[at + 2])
  if not r then return nil end
  r.body, r.size, r.stored = body, #body, false
  r.was_state, r.was_place, r.was_owner, r.was_cancel, r.was_alarm, r.was_purge = false, false, false, false, NONE, NONE
  return {row = r, id = id, slot = has(r.flags, 2) and slot_of(r), mode = mode, sid = has(mode, 8) and sid}
end

-- Reads what many inserts need with three commands: rows of the ids, holders of the keys, rows of the holders.
local function load_new(list)
  local ids, want, held = {}, {}, {}
  for i = 1, #list do
    local t = list[i]
    ids[i] = t.id
    if t.slot and holders[t.slot] == nil then holders[t.slot] = false; want[#want + 1] = t.slot end
  end
  load(ids)
  if #want == 0 then return end
  local got = call('HMGET', UNIQUE, unpack(want))
  for i = 1, #got do if got[i] then holders[want[i]] = got[i]; held[#held + 1] = got[i] end end
  load(held)
end

local function replace(t, r)
  r.version, r.updated = math.min(r.version + 1, MAX_VERSION), now
  if has(t.mode, 2) then set_due(r, math.max(t.row.run_at, now)) end
  if has(t.mode, 1) then
    r.body, r.size = t.row.body, t.row.size
    write_cold(r, PAYLOAD, nil)
    write_cold(r, HEADERS, nil)
  end
  touch(r)
end

local leasable = {}
local function may_lease(sid, queue)
  local known = leasable[sid .. queue]
  if known == nil then
    known = live(sid) and not call('ZSCORE', PAUSED, queue)
    leasable[sid .. queue] = known
  end
  return known
end

-- Answers 0 new, 1 new and leased, 2 repeated, {3, holder} replaced, {4, holder, state} duplicate.
-- `edited` is the row whose edit carries the task: what that edit is about to write is not replaced.
local function insert(t, edited)
  local there, r = rows[t.id], t.row
  if there and there.gone then
    flush()                                            -- forgotten by this very call, now stored anew
  elseif there then return 2 end
  local holder = t.slot and holder_of(t.slot)
  if holder then
    if holder.bad then return {4, holder.id, FAILED} end
    if not has(t.mode, 4) or holder.state ~= PENDING then return {4, holder.id, holder.state} end
    if holder ~= edited then replace(t, holder) end
    return {3, holder.id}
  end
  if t.slot then set_slot(t.slot, t.id) end
  rows[t.id] = r
  touch(r)
  if t.sid and r.run_at <= now and may_lease(t.sid, r.queue) then
    lease(r, t.sid)
    return 1
  end
  return 0
end
