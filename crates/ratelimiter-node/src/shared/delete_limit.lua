-- Removes a limit.
-- ARGV    4: key
-- returns {version, entry as it was or nothing when there was no such limit}, or nothing when the
--         store has lost its state
if forgot then return false end
local old = redis.call('HGET', KEYS[1], ARGV[4])
if not old then return {version, {}} end
change_to(version + 1)
drop(ARGV[4], version)
return {version, {old}}
