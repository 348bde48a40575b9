-- Rows that cannot be used (law 14) become failed ones, which an operator can see; nothing forgets them by itself.
local function fail_bad(r)
  local was = r.state
  r.state, r.session, r.alarm, r.purge, r.updated = FAILED, NIL, NONE, NONE, now
  r.version = math.min(r.version + 1, MAX_VERSION)
  touch(r)
  tell_parent(r, was, FAILED)
end
