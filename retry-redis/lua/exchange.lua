-- exchange (laws 3 to 8): ARGV = now, '>I2I2' number of edits and of claims, the edits, the claims. Claims see the edits.
local n_edits, n_claims = unp('>I2I2', ARGV[2])
local at, edits, news, claims, seen, twice = 3, {}, {}, {}, {}, {}
local ids, numbers, places, n = {}, {}, {}, 0          -- candidates for the short way
for i = 1, n_edits do
  local arg = ARGV[at]
  local id = sub(arg, 1, 16)
  if seen[id] then twice[id] = true end
  seen[id] = true
  if byte(arg, 17) == 1 then
    n = n + 1
    ids[n], numbers[n], places[n] = id, i, at
    at = at + byte(arg, 40)
  else
    edits[i], at = parse_edit(at, news)
  end
end
for i = 1, n_claims do claims[i], at = parse_claim(at) end

-- Which way each edit goes is settled before the first is applied: what the cache holds goes the general way.
local raw, tails = values_of(HOT, ids), {}
for k = 1, n do
  local tail = not twice[ids[k]] and settles(ARGV[places[k]], raw[k])
  tails[k] = tail
  if not tail then
    raw[k] = false
    edits[numbers[k]] = parse_edit(places[k], news)
  end
end
local general = {}
for i = 1, n_edits do
  if edits[i] then general[#general + 1] = edits[i].id end
end
if #general > 0 then
  load(general)
  if #news > 0 then load_new(news) end
  local parents = {}
  for i = 1, #general do
    local r = rows[general[i]]
    if r and not r.bad and r.parent ~= NIL then parents[#parents + 1] = r.parent end
  end
  load(parents)
  for k = 1, n do
    if raw[k] and rows[ids[k]] ~= nil then
      raw[k] = false
      edits[numbers[k]] = parse_edit(places[k], news)
    end
  end
end
if n_claims > 0 then                                   -- a claim reads and writes after the edits were written
  for _, key in ipairs({HOT, REST, BLOB, READY, HELD, ALARMS, CANCELS, COUNTS, LISTED, BAD, PAUSED, SESSIONS}) do check(key) end
end
local applied, claimed = {}, {}
if n > 0 then settle_plain(ids, places, raw, tails) end
for i = 1, n_edits do applied[i] = edits[i] and apply(edits[i]) or 0 end
flush()
for i = 1, n_claims do claimed[i] = claim(claims[i]) end
return {applied, claimed}
