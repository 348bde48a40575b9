-- One page of candidates of a listing, newest id first (laws 11, 13): ARGV = source ('ids', 'children', 'held', 'listed'), after
-- (an id, or ''), limit, then the prefixes to look behind. Answers ids and the two
-- values of their records in turn. What is no id behind its prefix is passed over.
local MAX_PASSED = 10000
local SOURCES = {ids = IDS, children = CHILDREN, held = HELD, listed = LISTED}
local source, after, limit, found = SOURCES[ARGV[1]], ARGV[2], tonumber(ARGV[3]), {}
for i = 4, #ARGV do
  local prefix = ARGV[i]
  local till, left, passed = after == '' and '[' .. prefix .. LAST or '(' .. prefix .. after, limit, 0
  while left > 0 and passed < MAX_PASSED do
    local asked = left
    local members = call('ZREVRANGEBYLEX', source, till, '[' .. prefix, 'LIMIT', 0, asked)
    for k = 1, #members do
      if #members[k] == #prefix + 16 then
        found[#found + 1] = sub(members[k], -16)
        left = left - 1
      else passed = passed + 1 end
    end
    if #members < asked then break end
    till = '(' .. members[#members]
  end
end
if #ARGV > 4 then table.sort(found, function(a, b) return before(b, a) end) end
local ids, out = {}, {}
for i = 1, math.min(#found, limit) do ids[i] = found[i] end
if #ids == 0 then return {} end
local heads, rests = call('HMGET', HOT, unpack(ids)), call('HMGET', REST, unpack(ids))
for i = 1, #ids do out[3 * i - 2], out[3 * i - 1], out[3 * i] = ids[i], heads[i], rests[i] end
return out
