-- insert (laws 1, 2): ARGV = now, then four arguments a task. Answers one by one, in input order; see `new.lua`.
local ids, list, tails, general, answers = {}, {}, {}, {}, {}
local STORED = {}                                      -- a plain task of this call; nothing else is asked of it
for at = 2, #ARGV, 4 do
  local k, s = (at + 2) / 4, ARGV[at + 1]
  if not ARGV[at + 3] or #ARGV[at] < 16 or #s <= LANE_AT or #ARGV[at + 2] < REST_BYTES or byte(s, 1) ~= 1 then
    return redis.error_reply('INVALID task ' .. k)
  end
  ids[k], list[k] = sub(ARGV[at], 1, 16), false
  if is_plain_new(at) then
    tails[k] = sub(s, LANE_AT)
    if not queue_of(tails[k]) then return redis.error_reply('INVALID lane of task ' .. k) end
  else
    local t = parse_new(at)
    if not t then return redis.error_reply('INVALID task ' .. k) end
    list[k] = t
    general[#general + 1] = t
  end
end
local there = values_of(HOT, ids)
if #general > 0 then load_new(general) end
for k = 1, #ids do
  local id, t = ids[k], list[k]
  if t then answers[k] = insert(t, nil)
  elseif there[k] or rows[id] then answers[k] = 2
  else
    insert_plain(4 * k - 2, id, tails[k])
    rows[id] = STORED
    answers[k] = 0
  end
end
flush()
return answers
