-- New tasks that are plain: pending, without key, parent, alarm and session. The argument is the record behind 33 bytes.
local function is_plain_new(arg)
  return byte(arg, 1) == 0 and byte(arg, 35) == PENDING and sub(arg, 57, 64) == NO_TIME and sub(arg, 172, 187) == NIL
    and sub(arg, 190, 191) == ZERO2
end

-- Stores a plain task under an id that nobody has. False if its lane has no name.
local function insert_plain(id, s, body)
  local lane = lane_of(s)
  local queue = queue_of(lane)
  if not queue then return false end
  local policy = byte(s, 122)
  local hot, blob, ready, all = bucket(puts, HOT), bucket(puts, BLOB), bucket(puts, READY), bucket(puts, IDS)
  local n = all.n
  hot[hot.n + 1], hot[hot.n + 2], hot.n = id, s, hot.n + 2
  blob[blob.n + 1], blob[blob.n + 2], blob.n = id, body, blob.n + 2
  ready[ready.n + 1], ready[ready.n + 2] = 0, lane .. char((policy - policy % 16) / 8) .. sub(s, 16, 23) .. id
  ready.n = ready.n + 2
  all[n + 1], all[n + 2], all.n = 0, id, n + 2
  tally(queue, PENDING, 1)
  if not woken[queue] then
    local _, run_at = unp('>Bi7', s, 16)
    if run_at <= now + WAKE_AHEAD then woken[queue] = true end
  end
  return true
end
