-- Short cuts for plain rows: without key, parent, alarm and rarely written texts. Their bytes are compared and spliced without
-- decoding them, which takes a third of the work. A row that the cache holds never goes this way, and the general way is
-- the reference: it gives the same bytes.
local NO_TIME, NO_SPAN, ZERO6, ZERO4, ZERO2 = pack('>i8', NONE), pack('>i8', -1), '\0\0\0\0\0\0', '\0\0\0\0', '\0\0'
local NOW8 = pack('>i8', now)

-- What `put` and `drop` fill, taken once.
local function bucket(all, key)
  local t = all[key]
  if not t then t = {n = 0}; all[key] = t end
  return t
end

-- The lane's name, its queue, and where a pending row of level `level` stands.
local function lane_of(s) return sub(s, 159, 158 + byte(s, 155) * 256 + byte(s, 156)) end
local function queue_of(lane)
  local queue = queues[lane]
  if queue == nil then queue = learn(lane) end
  return queue
end
