-- New tasks that are plain, but for a deadline: pending, without key, parent, alarm, mode and session.
local NEW, NEW_LIMITED = '\1\0\0\0', '\1' .. char(LIMITED) .. '\0\0'
local function is_plain_new(at)
  if #ARGV[at] > 16 then return false end
  local first = sub(ARGV[at + 1], 1, 4)
  return first == NEW or first == NEW_LIMITED
end

-- Stores a plain task under an id that nobody has.
local function insert_plain(at, id, tail)
  local s, queue = ARGV[at + 1], queues[tail]
  local hot, rest, blob = bucket(puts, HOT), bucket(puts, REST), bucket(puts, BLOB)
  local ready, all = bucket(puts, READY), bucket(puts, IDS)
  local n = all.n
  hot[hot.n + 1], hot[hot.n + 2], hot.n = id, s, hot.n + 2
  rest[rest.n + 1], rest[rest.n + 2], rest.n = id, ARGV[at + 2], rest.n + 2
  blob[blob.n + 1], blob[blob.n + 2], blob.n = id, ARGV[at + 3], blob.n + 2
  ready[ready.n + 1], ready[ready.n + 2] = ZERO, tail .. sub(s, 57, 64) .. id
  ready.n = ready.n + 2
  all[n + 1], all[n + 2], all.n = ZERO, id, n + 2
  tally(queue, PENDING, 1)
  if not woken[queue] then
    local _, run_at = unp('>Bi7', s, 57)
    if run_at <= now + WAKE_AHEAD then woken[queue] = true end
  end
end
