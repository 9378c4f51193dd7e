-- Begins a new counter for a key; admissions still on their way to the old one are not counted.
-- ARGV    4: key
-- returns {version, entry as kept and as it was, or nothing when there is no such limit}, or
--         nothing when the store has lost its state
if forgot then return false end
local old = redis.call('HGET', KEYS[1], ARGV[4])
if not epoch(old) then return {version, {}} end
change_to(version + 1)
local entry = cjson.decode(old)
entry.epoch = version
return {version, {keep(ARGV[4], entry), old}}
