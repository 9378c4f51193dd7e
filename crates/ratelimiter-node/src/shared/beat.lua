-- A node's heartbeat: its entry, and the common clock.
-- KEYS[1] the hash of heartbeats, KEYS[2] the common clock
-- ARGV    id, entry, time on the caller's clock (us) or nothing, the offset that the caller read
--         and the one that it found instead or nothing for both; then ids of nodes that are gone
-- returns the entry that it replaced
local replaced = redis.call('HGET', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
for i = 6, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
local kept = redis.call('HMGET', KEYS[2], 'offset', 'at')
-- Another node may have found the step first.
if ARGV[4] ~= '' and (kept[1] or '0') == ARGV[4] then
  redis.call('HSET', KEYS[2], 'offset', ARGV[5])
end
if ARGV[3] ~= '' and tonumber(ARGV[3]) > tonumber(kept[2] or '0') then
  redis.call('HSET', KEYS[2], 'at', ARGV[3])
end
return replaced
