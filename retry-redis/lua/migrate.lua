-- migrate: ARGV = the version of this program, 1 to create what is missing or 0 to look only. A script runs alone, which is the
-- lock. Answers whether the namespace is this store's now, or an error before anything was written.
local TYPES = {'string', 'hash', 'hash', 'hash', 'zset', 'zset', 'zset', 'zset', 'zset', 'zset', 'zset', 'zset', 'hash', 'hash', 'hash',
  'zset', 'zset', 'zset', 'zset'}
local any = false
for i = 1, #KEYS do
  local found = redis.call('TYPE', KEYS[i]).ok
  if found ~= 'none' then
    if found ~= TYPES[i] then return redis.error_reply('SCHEMA ' .. KEYS[i] .. ' holds a ' .. found) end
    any = true
  end
end
local version = redis.call('GET', KEYS[1])
if not version and any then return redis.error_reply('SCHEMA other') end
if version and version ~= ARGV[1] then return redis.error_reply('SCHEMA ' .. version) end
if not version and ARGV[2] == '1' then
  redis.call('SET', KEYS[1], ARGV[1])
  return 1
end
return version and 1 or 0
