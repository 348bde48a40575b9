-- exchange (laws 3 to 8): ARGV = now, '>I2I2' number of edits and of claims, the edits, the claims. Claims see the edits.
local n_edits, n_claims = unp('>I2I2', ARGV[2])
local at, edits, news, ids, claims = 3, {}, {}, {}, {}
for i = 1, n_edits do
  edits[i], at = parse_edit(at, news)
  ids[i] = edits[i].id
end
for i = 1, n_claims do claims[i], at = parse_claim(at) end
load(ids)
if #news > 0 then load_new(news) end
local parents = {}
for i = 1, n_edits do
  local r = rows[ids[i]]
  if r and not r.bad and r.parent ~= NIL then parents[#parents + 1] = r.parent end
end
load(parents)
if n_claims > 0 then                                   -- a claim reads and writes after the edits were written
  for _, key in ipairs({HOT, BLOB, READY, HELD, ALARMS, CANCELS, COUNTS, LISTED, BAD, PAUSED, SESSIONS}) do check(key) end
end
local applied, claimed = {}, {}
for i = 1, n_edits do applied[i] = apply(edits[i]) end
flush()
for i = 1, n_claims do claimed[i] = claim(claims[i]) end
return {applied, claimed}
