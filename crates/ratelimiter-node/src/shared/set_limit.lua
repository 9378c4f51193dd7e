-- Sets one limit for all nodes; a limit that exists keeps its counter.
-- ARGV    known version, key, entry as JSON
-- returns {version, entry as kept}, or nothing when the store has lost its state
if forgot then return false end
change_to(version + 1)
local entry = cjson.decode(ARGV[3])
-- The version never repeats, so a key that was deleted and set anew does not find its old admissions.
entry.epoch = epoch(redis.call('HGET', KEYS[1], ARGV[2])) or version
return {version, keep(ARGV[2], entry)}
