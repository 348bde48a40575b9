-- The row codec: a task's record in HOT, big-endian, beside its texts in BLOB. `record.rs` writes and reads the same.
-- Numbers are doubles here: every one that passes through is within ±2^53, or NONE, which is exact. What may be larger
-- (the wait secret) stays in the tail, which no script looks into.
local NONE, NIL, LAST = 18014398509481984, string.rep('\0', 16), string.rep('\255', 16)
local MAX_TIME, MAX_COUNT, MAX_VERSION = 9007199254740992, 2147483647, 9007199254740991
local PENDING, RUNNING, JOINING, SUCCEEDED, FAILED, CANCELLED = 0, 1, 3, 4, 5, 6
local COMPLETION, EARLY, CHECKPOINT, PAYLOAD, HEADERS, TAGS = 1, 2, 4, 6, 7, 7   -- cold values: BLOB field id .. tag
local HISTORY, KEPT = 16, 20                           -- failed attempts: BLOB field id .. (HISTORY + number % KEPT)

-- Byte 1 is the format. 2..63 is written whole by a Set; the due time is in a form that sorts as bytes.
local DYN = '>BBI4I4I4Bi7i8i8i8c16'    -- state flags attempt crashes step run_at alarm purge updated session
local MID = '>I8I8I2I4I4I4I4I4I4i8i8'  -- version nonce cold fails size total open failed reruns give_up expires
local FIX = '>Bi8i8c16I2I2'            -- policy created deadline parent #lane #key; then lane, key, tail
local FIXED = 158

-- flags: 1 cancel requested, 2 holds its key, 4 via fallback. policy: 3 on failed children, 4 has a key, 48 priority.
local function has(bits, bit) return bits % (bit * 2) >= bit end
local function final(state) return state >= SUCCEEDED end

-- A lane's name is queue .. 0 .. kind .. 0; the queue of each lane met.
local queues = {}
local function learn(lane)
  local queue = string.match(lane, '^([^%z]+)%z[^%z]+%z$') or false
  queues[lane] = queue
  return queue
end

-- nil if it is not a row. `was_…` are the facts that the indexes hold of it.
-- One constructor with every field: a table grown field by field is rehashed six times.
local function decode(id, s)
  if #s < FIXED or byte(s, 1) ~= 1 then return nil end
  local state, flags, attempt, crashes, step, sign, run_at, alarm, purge, updated, session = unp(DYN, s, 2)
  local version, nonce, cold, fails, size, total, open, failed, reruns, give_up, expires = unp(MID, s, 64)
  local policy, created, deadline, parent, n, m = unp(FIX, s, 122)
  if state > CANCELLED or sign > 1 or policy > 63 or #s < FIXED + n + m or (state == RUNNING) ~= (session ~= NIL) then return nil end
  local lane = sub(s, FIXED + 1, FIXED + n)
  local queue = queues[lane]
  if queue == nil then queue = learn(lane) end
  if not queue then return nil end
  local run8 = sub(s, 16, 23)
  local level = (policy - policy % 16) / 8 + (crashes > 0 and 1 or 0)
  local owner = state == RUNNING and session .. id
  return {id = id, state = state, flags = flags, attempt = attempt, crashes = crashes, step = step, run_at = run_at,
    run8 = run8, alarm = alarm, purge = purge, updated = updated, session = session, version = version, nonce = nonce,
    cold = cold, fails = fails, size = size, total = total, open = open, failed = failed, reruns = reruns,
    give_up = give_up, expires = expires, policy = policy, created = created, deadline = deadline, parent = parent,
    lane = lane, queue = queue, fix = sub(s, 122), key = m > 0 and sub(s, FIXED + n + 1, FIXED + n + m),
    dyn = sub(s, 2, 63), dirty = false, gone = false, body = false, written = false, failures = false, raw = false,
    was_state = state, was_place = state == PENDING and lane .. char(level) .. run8 .. id, was_owner = owner,
    was_cancel = owner and flags % 2 == 1 and owner, was_alarm = alarm, was_purge = purge, stored = true}
end

local function encode(r)
  local dyn = r.dyn
  if not dyn then
    dyn = pack(DYN, r.state, r.flags, r.attempt, r.crashes, r.step, r.run_at < 0 and 0 or 1, r.run_at, r.alarm, r.purge,
      r.updated, r.session)
  end
  return '\1' .. dyn .. pack(MID, r.version, r.nonce, r.cold, r.fails, r.size, r.total, r.open, r.failed, r.reruns,
    r.give_up, r.expires) .. r.fix
end

-- A time as bytes that sort like it.
local function sortable(at) return pack('>Bi7', at < 0 and 0 or 1, at) end

-- Where it stands in READY.
local function place(r)
  local level = (r.policy - r.policy % 16) / 8 + (r.crashes > 0 and 1 or 0)
  return r.lane .. char(level) .. r.run8 .. r.id
end

-- Ids in their order. `<` on strings would follow the server's locale.
local function before(a, b)
  local a1, a2, a3 = unp('>I6I6I4', a)
  local b1, b2, b3 = unp('>I6I6I4', b)
  if a1 ~= b1 then return a1 < b1 elseif a2 ~= b2 then return a2 < b2 end
  return a3 < b3
end

-- The fields in BLOB of the cold values whose tags are asked, or of all.
local function cold_fields(r, tags, f)
  if r.cold == 0 then return end
  for i = 1, #tags do if has(r.cold, 2 ^ tags[i]) then f(r.id .. char(tags[i]), tags[i]) end end
end
local ALL_TAGS, CLAIMED_TAGS = {1, 2, 3, 4, 5, 6, 7}, {COMPLETION, CHECKPOINT, PAYLOAD, HEADERS}
