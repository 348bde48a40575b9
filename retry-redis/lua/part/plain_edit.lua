-- Settles that are plain: the success of a running task, kept or deleted at once, whose row and change carry nothing rare, and
-- whose cancel nobody wanted.
local DELETE = 3
-- A candidate by its arguments; then the position behind it, too.
local function is_plain_settle(at)
  local arg, to = ARGV[at], ARGV[at + 1]
  local alternatives = byte(arg, 35)
  if byte(arg, 33) == DELETE then
    if byte(arg, 34) == RUNNING and alternatives == 0 and sub(arg, 36, 37) == ZERO2 then return true, at + 1 end
    return false
  end
  if byte(arg, 33) ~= 0 or byte(arg, 34) ~= RUNNING or alternatives > 1 or sub(arg, 36, 37) ~= ZERO2 or #to ~= 64
    or byte(to, 1) ~= SUCCEEDED or byte(to, 64) ~= 0 or sub(to, 23, 30) ~= NO_TIME then return false end
  if alternatives == 0 then return true, at + 2 end
  return true, at + 3 + byte(ARGV[at + 2], 64)
end

-- A row as the candidate needs it: of its version and state, without cancel, key, parent, alarm, and not written by it before;
-- one that is deleted has no rarely written texts and no history.
local function settles(at, s)
  local arg = ARGV[at]
  return s and #s >= FIXED and byte(s, 1) == 1 and byte(s, 2) == RUNNING and byte(s, 3) % 2 == 0
    and sub(s, 64, 71) == sub(arg, 17, 24) and sub(s, 72, 79) ~= sub(arg, 25, 32) and sub(s, 24, 31) == NO_TIME
    and sub(s, 32, 39) == NO_TIME and sub(s, 139, 154) == NIL and sub(s, 157, 158) == ZERO2
    and (byte(arg, 33) ~= DELETE or sub(s, 80, 85) == ZERO6) and queue_of(lane_of(s))
end

local function delete_plain(id, s)
  drop(HOT, id)
  drop(IDS, id)
  drop(BLOB, id)
  drop(HELD, sub(s, 48, 63) .. id)
  tally(queue_of(lane_of(s)), RUNNING, -1)
  return 0
end

local function settle_plain(at, s)
  local arg, to = ARGV[at], ARGV[at + 1]
  if byte(arg, 33) == DELETE then return delete_plain(sub(arg, 1, 16), s) end
  local id, flags = sub(arg, 1, 16), bit.bor(bit.band(byte(s, 3), byte(to, 63)), byte(to, 2))
  local version, purge, created = unp('>I8', s, 64), unp('>i8', to, 31), unp('>i8', s, 123)
  local queue = queue_of(lane_of(s))
  put(HOT, id, '\1' .. sub(to, 1, 1) .. char(flags) .. sub(to, 3, 62) .. pack('>I8', math.min(version + 1, MAX_VERSION))
    .. sub(arg, 25, 32) .. sub(s, 80))
  drop(HELD, sub(s, 48, 63) .. id)
  if purge ~= NONE then put(PURGES, math.max(purge, created + RESEND_WINDOW), id) end
  tally(queue, RUNNING, -1)
  tally(queue, SUCCEEDED, 1)
  return 0
end
