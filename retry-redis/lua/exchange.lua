-- exchange (laws 3 to 8): ARGV = now, '>I2I2' number of edits and of claims, the edits, the claims. Claims see the edits.
local n_edits, n_claims = unp('>I2I2', ARGV[2])
local at, edits, news, claims, candidates, seen = 3, {}, {}, {}, {}, {}
for i = 1, n_edits do
  local plain, next_at = is_plain_settle(at)
  local id = sub(ARGV[at], 1, 16)
  if plain and not seen[id] then
    edits[i], candidates[#candidates + 1] = {id = id, at = at}, id
    at = next_at
  else
    edits[i], at = parse_edit(at, news)
  end
  seen[id] = (seen[id] or 0) + 1
end
for i = 1, n_claims do claims[i], at = parse_claim(at) end

-- Which way each edit goes is settled before the first is applied: what the cache holds goes the general way.
local raw, ids, n = {}, {}, 0
for first = 1, #candidates, 2000 do
  local got = call('HMGET', HOT, unpack(candidates, first, math.min(first + 1999, #candidates)))
  for i = 1, #got do raw[candidates[first + i - 1]] = got[i] end
end
for i = 1, n_edits do
  local e = edits[i]
  if e.at and (seen[e.id] > 1 or not settles(e.at, raw[e.id])) then
    edits[i] = parse_edit(e.at, news)
    e = edits[i]
  end
  if not e.at then n = n + 1; ids[n] = e.id end
end
load(ids)
if #news > 0 then load_new(news) end
local parents = {}
for i = 1, n do
  local r = rows[ids[i]]
  if r and not r.bad and r.parent ~= NIL then parents[#parents + 1] = r.parent end
end
load(parents)
for i = 1, n_edits do
  local e = edits[i]
  if e.at and rows[e.id] ~= nil then
    edits[i] = parse_edit(e.at, news)
  end
end
if n_claims > 0 then                                   -- a claim reads and writes after the edits were written
  for _, key in ipairs({HOT, BLOB, READY, HELD, ALARMS, CANCELS, COUNTS, LISTED, BAD, PAUSED, SESSIONS}) do check(key) end
end
local applied, claimed = {}, {}
for i = 1, n_edits do
  local e = edits[i]
  if e.at then applied[i] = settle_plain(e.at, raw[e.id]) else applied[i] = apply(e) end
end
flush()
for i = 1, n_claims do claimed[i] = claim(claims[i]) end
return {applied, claimed}
