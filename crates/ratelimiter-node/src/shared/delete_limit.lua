-- Removes a limit.
-- ARGV    7: key
-- returns {version, entry as it was or nothing when there was no such limit, time of the last
--         loss}, or nothing when the store has lost its state
if forgot then return false end
local key = ARGV[FIRST]
local old = redis.call('HGET', KEYS[1], key)
if not old then return {version, {}, exact(lost)} end
next_version()
end_counter(key, read(old))
drop(key, version)
return {version, {old}, exact(lost)}
