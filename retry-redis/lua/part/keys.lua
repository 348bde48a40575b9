-- First part of every script: the keys of a store, the version check, short names.
-- All keys stand in KEYS, in the order of `keys.rs`; no script builds the name of a key.
local VERSION, HOT, REST, BLOB, IDS, READY, ALARMS, PURGES, HELD, CANCELS, LISTED, CHILDREN, UNIQUE, COUNTS, SESSIONS, LIVE, LOST,
  PAUSED, BAD = unpack(KEYS)
local call, pack, unp, sub, byte, char = redis.call, struct.pack, struct.unpack, string.sub, string.byte, string.char

-- Another version, or none, and nothing is read or written: the layout may be one that this program does not know.
local version = call('GET', VERSION)
if version ~= '1' then return redis.error_reply('SCHEMA ' .. (version or 'none')) end
