-- Gives a store that lost its state the limits a node remembers. Does nothing where another node was first.
-- KEYS[1] the hash of limits, KEYS[2] its version
-- ARGV    version, then key and entry by turns
if redis.call('EXISTS', KEYS[2]) == 1 then
  return 0
end
for i = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call('SET', KEYS[2], ARGV[1])
return 1
