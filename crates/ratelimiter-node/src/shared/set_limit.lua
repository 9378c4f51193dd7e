-- Sets one limit for all nodes; a limit that exists keeps its counter.
-- KEYS[1] the hash of limits, KEYS[2] its version
-- ARGV    key, entry as JSON
-- returns the entry as kept
local entry = cjson.decode(ARGV[2])
local version = redis.call('INCR', KEYS[2])
local old = redis.call('HGET', KEYS[1], ARGV[1])
-- The version never repeats, so a key that was deleted and set anew does not find its old admissions.
entry.epoch = old and cjson.decode(old).epoch or version
local text = cjson.encode(entry)
redis.call('HSET', KEYS[1], ARGV[1], text)
return text
