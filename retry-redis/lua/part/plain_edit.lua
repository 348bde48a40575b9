-- Settles that are plain: the success of a running task, kept or deleted at once, whose change carries nothing rare (the program
-- says so), and about whose row nothing is rare and whose cancel nobody wanted (its first bytes say so).
local DELETE = 3

-- A row that begins as the candidate says, with its version, and was not written by it before. Answers its lane.
local function settles(arg, s)
  if not s or sub(s, 1, 12) ~= sub(arg, 17, 28) or sub(s, 41, 48) == sub(arg, 29, 36) then return false end
  local tail = sub(s, LANE_AT)
  return queue_of(tail) and tail
end

-- What the candidates write: `raw` and `tails` are their rows' bytes and lanes, false for those that go the general way.
local function settle_plain(ids, places, raw, tails)
  local hot, held, kept, deleted = bucket(puts, HOT), bucket(drops, HELD), {}, {}
  for k = 1, #ids do
    local id, at, s = ids[k], places[k], raw[k]
    if s then
      local queue, change = queues[tails[k]], ARGV[at + 1]
      local n = held.n + 1
      held[n], held.n = sub(s, 25, 40) .. id, n
      if byte(ARGV[at], 37) == DELETE then
        drop(HOT, id)
        drop(REST, id)
        drop(IDS, id)
        drop(BLOB, id)
        deleted[queue] = (deleted[queue] or 0) + 1
      else
        n = hot.n
        hot[n + 1], hot[n + 2], hot.n = id, change .. sub(s, SET_BYTES + 1), n + 2
        local purge = time_of(sub(change, 73, 80))
        if purge ~= NONE then ends_at(purge, id) end
        kept[queue] = (kept[queue] or 0) + 1
      end
    end
  end
  for queue, n in pairs(kept) do tally(queue, RUNNING, -n); tally(queue, SUCCEEDED, n) end
  for queue, n in pairs(deleted) do tally(queue, RUNNING, -n) end
end
