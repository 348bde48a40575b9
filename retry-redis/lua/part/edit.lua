-- Edits (laws 6, 8): parsed whole before the first is applied, applied to the cache one after another.
-- An edit: EDIT, that is id, a format byte and what the row of a plain settle begins with (`plain_edit.lua`; four zeros for any
-- other), version, nonce, action, from, alternatives, the number of arguments of a plain settle, inserts; then for each
-- change a mask of flags to keep and the number of its cold values. For Set (action 0) one change, and one for each bit of
-- `alternatives` (1 if_cancelled, 2 if_completed, 4 if_none_open); for StoreCompletion (2) step and outcome; then four
-- arguments for each insert.
-- A change: the bytes of a row that a Set writes, where version and nonce are the edit's; then for each cold value an argument:
-- tag, how, value. How: '=' set, '-' clear, '>' deliver the early completion, '+' append a failed attempt, '!' reruns and
-- the limits of time as '>BI4i8i8', the first saying which (1, 2, 4).
local EDIT, CHANGES_AT = '>c16c4I8I8BBBBI2', 43
local function parse_change(at, keep, n)
  local s = ARGV[at]
  if #s ~= SET_BYTES then error({err = 'INVALID change'}) end
  local cold = {}
  for i = 1, n do
    cold[i] = ARGV[at + i]
    if #cold[i] < 2 then error({err = 'INVALID cold value'}) end
  end
  return {bytes = s, flags = byte(s, 3), state = byte(s, 4), keep = keep, cold = cold}, at + 1 + n
end

local function parse_edit(at, news)
  local head, c = ARGV[at], CHANGES_AT
  local id, _, version, nonce, action, from, alternatives, _, inserts = unp(EDIT, head)
  local e = {id = id, version = version, nonce = nonce, action = action, from = from, new = {}, main = false,
    cancelled = false, completed = false, none_open = false, step = false, outcome = false}
  at = at + 1
  local function change()
    local to
    to, at = parse_change(at, byte(head, c, c + 1))
    c = c + 2
    return to
  end
  if action == 0 then
    e.main = change()
    if has(alternatives, 1) then e.cancelled = change() end
    if has(alternatives, 2) then e.completed = change() end
    if has(alternatives, 4) then e.none_open = change() end
  elseif action == 2 then
    e.step, e.outcome, at = unp('>I4', ARGV[at]), sub(ARGV[at], 5), at + 1
  end
  for k = 1, inserts do
    local t = parse_new(at)
    if not t then error({err = 'INVALID insert'}) end
    e.new[k] = t
    news[#news + 1] = t
    at = at + 4
  end
  return e, at
end

-- Writes a change's values into the row: `Target::write_to`.
local function write_target(r, pick, nonce)
  local _
  _, _, _, r.state, _, r.attempt, r.updated, r.session, _, r.crashes, r.step, _, r.run_at, r.alarm, r.purge = unp(SET, pick.bytes)
  r.run8, r.flags = sub(pick.bytes, 57, 64), bit.bor(bit.band(r.flags, pick.keep), pick.flags)
  r.version, r.nonce = math.min(r.version + 1, MAX_VERSION), nonce
  for i = 1, #pick.cold do
    local c = pick.cold[i]
    local tag, how = byte(c, 1), sub(c, 2, 2)
    if how == '=' then write_cold(r, tag, sub(c, 3))
    elseif how == '-' then write_cold(r, tag, nil)
    elseif how == '>' then
      write_cold(r, COMPLETION, read_cold(r, EARLY) or nil)
      write_cold(r, EARLY, nil)
    elseif how == '+' then
      r.failures = r.failures or {}
      r.failures[#r.failures + 1] = sub(c, 3)
    else
      local which, reruns, give_up, expires = unp('>BI4i8i8', c, 3)
      if has(which, 1) then r.reruns = reruns end
      if has(which, 2) then r.give_up = give_up end
      if has(which, 4) then r.expires = expires end
    end
  end
  touch(r)
end

-- Inserts an edit's tasks; the new children among them are counted at once.
local function insert_all(e, r)
  local answers = {}
  for k = 1, #e.new do
    local t = e.new[k]
    local answer = insert(t, r)
    if t.row.parent == r.id and (answer == 0 or answer == 1) then r.total, r.open = r.total + 1, r.open + 1 end
    answers[k] = answer
  end
  return answers
end

local function apply_set(e, r)
  if r.version ~= e.version or r.state ~= e.from then return 3 end
  local main, was = e.main, r.state
  if final(was) and not final(main.state) and r.parent ~= NIL then   -- a child reruns while its parent joins only
    local p = rows[r.parent]
    if not p or p.bad or p.gone or p.state ~= JOINING then return 3 end
  end
  local slot = slot_of(r)
  if slot and has(main.flags, 2) and not has(r.flags, 2) then
    local holder = holder_of(slot)
    if holder and holder.id ~= r.id then return {5, holder.id} end
  end
  local pick, took, inserted = main, 0, {}
  if e.cancelled and r.flags % 2 == 1 then pick, took = e.cancelled, 1
  else
    if not has(main.flags, 2) then free_slot(r) end
    inserted = insert_all(e, r)
    if e.completed and has(r.cold, 2 ^ EARLY) then pick, took = e.completed, 2
    elseif e.none_open and r.open == 0 then pick, took = e.none_open, 3 end
  end
  if slot then
    if has(pick.flags, 2) then set_slot(slot, r.id) else free_slot(r) end
  end
  write_target(r, pick, e.nonce)
  tell_parent(r, was, r.state)
  if took == 0 and #inserted == 0 then return 0 end
  return {0, took, inserted}
end

local function apply_delete(e, r)
  if r.version ~= e.version or r.state ~= e.from or awaited(r) then return 3 end
  free_slot(r)
  r.gone = true
  touch(r)
  return {0, 0, insert_all(e, r)}
end

-- Answers 0 or {0, took, inserted} done, 2 repeated, 3 stale, 4 missing, {5, holder} key taken.
local function apply(e)
  local r = rows[e.id]
  if not r or r.gone then return 4 end
  if r.bad then return 3 end
  if r.nonce == e.nonce then return 2 end
  if e.action == 0 then return apply_set(e, r) end
  if e.action == 3 then return apply_delete(e, r) end
  if e.action == 1 then
    if r.state ~= RUNNING then return 3 end
    if r.flags % 2 == 0 then r.flags = r.flags + 1; touch(r) end
    return 0
  end
  if (r.state ~= PENDING and r.state ~= RUNNING) or r.step ~= e.step then return 3 end
  if read_cold(r, EARLY) then return 2 end
  write_cold(r, EARLY, e.outcome)
  touch(r)
  return 0
end
