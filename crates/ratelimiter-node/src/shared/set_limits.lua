-- Sets limits for all nodes. A limit that exists keeps its counter, unless its counting mode
-- changes from or to `leased`.
-- ARGV    from the 7th: key and entry as JSON, by turns
-- returns {version, each entry as kept and as it was or empty, time of the last loss}, or nothing
--         when the store has lost its state
if forgot then return false end
next_version()
local kept = {}
for i = FIRST, #ARGV, 2 do
  local key, entry = ARGV[i], cjson.decode(ARGV[i + 1])
  local old = redis.call('HGET', KEYS[1], key)
  local before = read(old)
  if before and is_leased(before) == is_leased(entry) then
    entry.epoch = before.epoch
  else
    -- The version never repeats, so a key that was deleted and set anew does not find its old
    -- admissions.
    entry.epoch = version
    end_counter(key, before)
    begin_counter(key, entry)
  end
  kept[#kept + 1], kept[#kept + 2] = keep(key, entry), old or ''
end
return {version, kept, exact(lost)}
