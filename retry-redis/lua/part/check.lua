-- A key of another type is damage: it is found before anything is written. Each is looked at once in a script.
local TYPES = {[HOT] = 'hash', [REST] = 'hash', [BLOB] = 'hash', [UNIQUE] = 'hash', [COUNTS] = 'hash', [SESSIONS] = 'hash'}
local checked = {}
local function check(key)
  if checked[key] then return end
  local found = call('TYPE', key).ok
  if found ~= 'none' and found ~= (TYPES[key] or 'zset') then
    error({err = 'CORRUPT a key of the store holds a ' .. found})
  end
  checked[key] = true
end
