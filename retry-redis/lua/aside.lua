-- Puts aside rows whose texts the program cannot read (law 14): ARGV = now, then '>c16I8' id and version of each. A row that
-- went on meanwhile is left alone.
local ids = {}
for i = 2, #ARGV do ids[i - 1] = sub(ARGV[i], 1, 16) end
load(ids)
for i = 1, #ids do
  local r = rows[ids[i]]
  if r and not r.bad and r.version == unp('>I8', ARGV[i + 1], 17) and not final(r.state) then
    put(BAD, now, r.id)
    fail_bad(r)
  end
end
flush()
return redis.status_reply('OK')
