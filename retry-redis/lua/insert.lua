-- insert (laws 1, 2): ARGV = now, then two arguments a task. Answers one by one, in input order; see `new.lua`.
local list, answers = {}, {}
for i = 2, #ARGV, 2 do
  local t = parse_new(ARGV[i], ARGV[i + 1])
  if not t then return redis.error_reply('INVALID task ' .. i / 2) end
  list[i / 2] = t
end
load_new(list)
for i = 1, #list do answers[i] = insert(list[i], nil) end
flush()
return answers
