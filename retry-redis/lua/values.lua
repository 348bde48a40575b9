-- Texts of a listing (law 13): ARGV = bytes, then fields of BLOB. Answers their values in order until the bytes are used up,
-- at least one.
local left, out = tonumber(ARGV[1]), {}
for i = 2, #ARGV do
  out[i - 1] = call('HGET', BLOB, ARGV[i])
  left = left - (out[i - 1] and #out[i - 1] or 0)
  if left <= 0 then break end
end
return out
