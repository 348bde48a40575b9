-- count: how many tasks each queue has in each state, kept at every write. ARGV = queue, or nothing for all.
-- Answers fields (queue .. 0 .. state) and numbers in turn.
if #ARGV == 0 then return call('HGETALL', COUNTS) end
local out = {}
for state = 0, 6 do
  local field = ARGV[1] .. '\0' .. state
  local n = call('HGET', COUNTS, field)
  if n then out[#out + 1] = field; out[#out + 1] = n end
end
return out
