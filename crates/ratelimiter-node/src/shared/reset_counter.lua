-- Begins a new counter for a key; admissions still on their way to the old one are not counted.
-- ARGV    7: key
-- returns {version, entry as kept and as it was, or nothing when there is no such limit, time of
--         the last loss}, or nothing when the store has lost its state
if forgot then return false end
local key = ARGV[FIRST]
local old = redis.call('HGET', KEYS[1], key)
local entry = read(old)
if not entry then return {version, {}, exact(lost)} end
next_version()
end_counter(key, entry)
entry.epoch = version
begin_counter(key, entry)
return {version, {keep(key, entry), old}, exact(lost)}
