-- Short cuts for plain rows: nothing is rare about them, which one byte says. Their bytes are compared and spliced without
-- decoding them, which takes a fifth of the work. A row that the cache holds never goes this way, and the general way is
-- the reference: it gives the same bytes.
local MIN = math.min

-- Times by their bytes: most of a call are alike.
local times = {}
local function time_of(bytes)
  local time = times[bytes]
  if not time then time = unp('>i8', bytes); times[bytes] = time end
  return time
end
