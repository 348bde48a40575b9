-- queues: ARGV = lanes at most. Answers {paused queues, heads of the lanes}: each head is a member of READY. What is no entry of a
-- lane is passed over.
local MAX_PASSED = 10000
local heads, from, most, passed = {}, '-', tonumber(ARGV[1]), 0
while #heads < most and passed < MAX_PASSED do
  local m = call('ZRANGEBYLEX', READY, from, '+', 'LIMIT', 0, 1)[1]
  if not m then break end
  local _, lane = string.find(m, '^[^%z]+%z[^%z]+%z[%z\1-\7]')
  if lane and #m == lane + 24 and byte(m, lane + 1) <= 1 then
    heads[#heads + 1] = m
    from = '(' .. sub(m, 1, lane) .. '\2'              -- behind every entry of its lane: a due time begins with 0 or 1
  else
    passed = passed + 1
    from = '(' .. m
  end
end
return {call('ZRANGE', PAUSED, 0, -1), heads}
