-- Adds the limits of a node's file that the store does not have.
-- ARGV    from the 7th: key and entry as JSON, by turns
if forgot then return 0 end
local added = {}
for i = FIRST, #ARGV, 2 do
  if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 0 then added[#added + 1] = i end
end
if #added > 0 then
  next_version()
  -- They have an old version: every node reads all limits.
  redis.call('HSET', KEYS[5], 'floor', exact(version))
end
for _, i in ipairs(added) do
  -- What any node remembers of the key is newer than a file, unless the store knows its deletion.
  local deleted = redis.call('ZSCORE', KEYS[4], ARGV[i])
  keep_text(ARGV[i], ARGV[i + 1], deleted and version or 1)
  begin_counter(ARGV[i], read(ARGV[i + 1]))
end
return #added
