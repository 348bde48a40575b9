-- get (law 11): ARGV = id. Answers {head, rest, body, [tag, value], failed attempts, oldest first}, or nothing.
local id = ARGV[1]
local s, rest = call('HGET', HOT, id), call('HGET', REST, id)
if not s then return false end
local r, cold, fields, history = decode(id, s, rest), {}, {id}, {}
if not r then return {s} end
cold_fields(r, ALL_TAGS, function(field, tag) cold[#cold + 1] = tag; fields[#fields + 1] = field end)
for k = math.max(r.fails - KEPT, 0), r.fails - 1 do fields[#fields + 1] = id .. char(HISTORY + k % KEPT) end
local got, values = call('HMGET', BLOB, unpack(fields)), {}
for i = 1, #cold do values[2 * i - 1], values[2 * i] = cold[i], got[i + 1] end
for i = #cold + 2, #fields do history[#history + 1] = got[i] end
return {s, rest, got[1], values, history}
