-- Keeps a copy of a limit beside the admissions of its key, in a store cluster. The newest change
-- holds.
-- KEYS[1] the limit, a hash; KEYS[2] and KEYS[3] the versions at which it was changed and deleted;
--         KEYS[4] the version of its last change; KEYS[5] the last loss
-- ARGV    key, version of its last change, entry as JSON or nothing when it was deleted, `known`
--         when the caller has found a copy here before: one that is gone was lost with all else
--         that this member had
local version = redis.call('GET', KEYS[4])
if version and tonumber(version) >= tonumber(ARGV[2]) then return 0 end
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
  redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
  redis.call('ZREM', KEYS[3], ARGV[1])
else
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('ZADD', KEYS[3], ARGV[2], ARGV[1])
end
redis.call('SET', KEYS[4], ARGV[2])
if ARGV[4] == 'known' and not version then
  local time = redis.call('TIME')
  redis.call('HSET', KEYS[5], 'at', string.format('%.0f', time[1] * 1000000 + time[2]),
    'version', ARGV[2])
end
return 1
