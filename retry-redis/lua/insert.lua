-- insert (laws 1, 2): ARGV = now, then two arguments a task. Answers one by one, in input order; see `new.lua`.
local ids, list, general, answers = {}, {}, {}, {}
local STORED = {}                                      -- a plain task of this call; nothing else is asked of it
for i = 2, #ARGV, 2 do
  local arg, k = ARGV[i], i / 2
  if #arg < 33 + FIXED or byte(arg, 34) ~= 1 then return redis.error_reply('INVALID task ' .. k) end
  ids[k] = sub(arg, 18, 33)
  if is_plain_new(arg) then
    if not queue_of(lane_of(sub(arg, 34))) then return redis.error_reply('INVALID lane of task ' .. k) end
    list[k] = false
  else
    local t = parse_new(arg, ARGV[i + 1])
    if not t then return redis.error_reply('INVALID task ' .. k) end
    list[k] = t
    general[#general + 1] = t
  end
end
load(ids)
if #general > 0 then load_new(general) end
for k = 1, #ids do
  local id, t = ids[k], list[k]
  if t then answers[k] = insert(t, nil)
  elseif rows[id] then answers[k] = 2
  else
    insert_plain(id, sub(ARGV[2 * k], 34), ARGV[2 * k + 1])
    rows[id] = STORED
    answers[k] = 0
  end
end
flush()
return answers
