-- queues: ARGV = lanes at most. Answers {paused queues, heads of the lanes}: each head is a member of READY.
local heads, from = {}, '-'
while #heads < tonumber(ARGV[1]) do
  local m = call('ZRANGEBYLEX', READY, from, '+', 'LIMIT', 0, 1)[1]
  if not m then break end
  heads[#heads + 1] = m
  from = '(' .. sub(m, 1, -25) .. LAST                 -- behind every entry of its lane: a due time begins with 0 or 1
end
return {call('ZRANGE', PAUSED, 0, -1), heads}
