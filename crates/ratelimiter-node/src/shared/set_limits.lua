-- Sets limits for all nodes; a limit that exists keeps its counter.
-- ARGV    from the 4th: key and entry as JSON, by turns
-- returns {version, entries as kept}, or nothing when the store has lost its state
if forgot then return false end
change_to(version + 1)
local kept = {}
for i = 4, #ARGV, 2 do
  local entry = cjson.decode(ARGV[i + 1])
  -- The version never repeats, so a key that was deleted and set anew does not find its old
  -- admissions.
  entry.epoch = epoch(redis.call('HGET', KEYS[1], ARGV[i])) or version
  kept[#kept + 1] = keep(ARGV[i], entry)
end
return {version, kept}
