-- The row codec, big-endian; `record.rs` writes and reads the same. A record is two values: what claims and settles change is in
-- HOT (and short, because Redis hashes every byte that a script touches), what they only carry along in REST.
-- Numbers are doubles here: every one that passes through is within ±2^53, or NONE, which is exact. What may be larger
-- (the wait secret) stays in the tail of REST, which no script looks into.
local NONE, NIL, LAST = 18014398509481984, string.rep('\0', 16), string.rep('\255', 16)
local MAX_TIME, MAX_COUNT, MAX_VERSION = 9007199254740992, 2147483647, 9007199254740991
local PENDING, RUNNING, JOINING, SUCCEEDED, FAILED, CANCELLED = 0, 1, 3, 4, 5, 6
local COMPLETION, EARLY, CHECKPOINT, PAYLOAD, HEADERS, TAGS = 1, 2, 4, 6, 7, 7   -- cold values: BLOB field id .. tag
local HISTORY, KEPT = 16, 20                           -- failed attempts: BLOB field id .. (HISTORY + number % KEPT)
local ZERO = '0'                                       -- the score where only members count; a number would be formatted

-- HOT: format, what is rare about the row, flags, state, version, attempt, updated, session, which a claim changes; nonce, crashes,
-- step, the due time in a form that sorts as bytes, alarm, purge, cold, fails, which a Set changes too; size; then the
-- lane, and its level for no suspect.
local SET = '>BBBBI8I4i8c16I8I4I4Bi7i8i8'
local HEAD, SET_BYTES, LANE_AT = SET .. 'I2I4I4', 86, 91
-- REST: total, open, failed, reruns, give_up, expires; policy, created, deadline, parent, #key; then key, tail.
local COUNTED, FIXED = '>I4I4I4I4i8i8', 'Bi8i8c16I2'
local FIXED_AT, REST_BYTES = 33, 67
-- What is rare, in one byte, so that a script knows a plain row by it: key, parent, deadline, alarm, purge, texts or failed
-- attempts, crashes.
local KEYED, CHILD, LIMITED, ALARMED, PURGED, WRITTEN, SUSPECT = 1, 2, 4, 8, 16, 32, 64

-- flags: 1 cancel requested, 2 holds its key, 4 via fallback. policy: 3 on failed children, 48 priority.
local function has(bits, bit) return bits % (bit * 2) >= bit end
local function final(state) return state >= SUCCEEDED end

-- A lane's name is queue .. 0 .. kind .. 0, and here its level behind it; the queue of each lane met.
local queues = {}
local function learn(tail)
  local queue = string.match(tail, '^([^%z]+)%z[^%z]+%z.$') or false
  queues[tail] = queue
  return queue
end
local function queue_of(tail)
  local queue = queues[tail]
  if queue == nil then queue = learn(tail) end
  return queue
end

-- nil if it is not a row. `was_…` are the facts that the indexes hold of it.
-- One constructor with every field: a table grown field by field is rehashed six times.
local function decode(id, s, rest)
  if not rest or #s <= LANE_AT or #rest < REST_BYTES or byte(s, 1) ~= 1 then return nil end
  local _, _, flags, state, version, attempt, updated, session, nonce, crashes, step, sign, run_at, alarm, purge, cold, fails,
    size = unp(HEAD, s)
  local total, open, failed, reruns, give_up, expires, policy, created, deadline, parent, m = unp(COUNTED .. FIXED, rest)
  local level = byte(s, -1)
  if state > CANCELLED or sign > 1 or level > 6 or (state == RUNNING) ~= (session ~= NIL) then return nil end
  local tail = sub(s, LANE_AT)
  local queue = queue_of(tail)
  if not queue then return nil end
  local run8, owner = sub(s, 57, 64), state == RUNNING and session .. id
  local place = state == PENDING and sub(tail, 1, -2) .. char(level + (crashes > 0 and 1 or 0)) .. run8 .. id
  return {id = id, state = state, flags = flags, attempt = attempt, crashes = crashes, step = step, run_at = run_at,
    run8 = run8, alarm = alarm, purge = purge, updated = updated, session = session, version = version, nonce = nonce,
    cold = cold, fails = fails, size = size, total = total, open = open, failed = failed, reruns = reruns,
    give_up = give_up, expires = expires, policy = policy, created = created, deadline = deadline, parent = parent,
    tail = tail, lane = sub(tail, 1, -2), level = level, queue = queue, key = m > 0 and sub(rest, REST_BYTES + 1, REST_BYTES + m),
    fix = sub(rest, FIXED_AT), rest = rest, dirty = false, gone = false, body = false, written = false, failures = false,
    raw = false, was_state = state, was_place = place, was_owner = owner, was_cancel = owner and flags % 2 == 1 and owner,
    was_alarm = alarm, was_purge = purge, stored = true}
end

local function encode(r)
  local rare = (r.key and KEYED or 0) + (r.parent ~= NIL and CHILD or 0) + (r.deadline >= 0 and LIMITED or 0)
    + (r.alarm ~= NONE and ALARMED or 0) + (r.purge ~= NONE and PURGED or 0)
    + ((r.cold > 0 or r.fails > 0) and WRITTEN or 0) + (r.crashes > 0 and SUSPECT or 0)
  return pack(HEAD, 1, rare, r.flags, r.state, r.version, r.attempt, r.updated, r.session, r.nonce, r.crashes, r.step,
    r.run_at < 0 and 0 or 1, r.run_at, r.alarm, r.purge, r.cold, r.fails, r.size) .. r.tail
end

local function encode_rest(r)
  return pack(COUNTED, r.total, r.open, r.failed, r.reruns, r.give_up, r.expires) .. r.fix
end

-- A time as bytes that sort like it.
local function sortable(at) return pack('>Bi7', at < 0 and 0 or 1, at) end

-- Where it stands in READY.
local function place(r) return r.lane .. char(r.level + (r.crashes > 0 and 1 or 0)) .. r.run8 .. r.id end

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
