-- Begins a new counter for a key; admissions still on their way to the old one are not counted.
-- KEYS[1] the hash of limits, KEYS[2] its version
-- ARGV    key
-- returns the entry as kept, or nothing when there is no such limit
local old = redis.call('HGET', KEYS[1], ARGV[1])
if not old then
  return false
end
local entry = cjson.decode(old)
entry.epoch = redis.call('INCR', KEYS[2])
local text = cjson.encode(entry)
redis.call('HSET', KEYS[1], ARGV[1], text)
return text
