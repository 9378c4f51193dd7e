-- Gives a store that lost its state the limits and deletions that a node remembers. For each key
-- the newest change holds.
-- KEYS[6] the last loss, a hash: when it was noticed (us), and the newest version before it
-- ARGV    from the 4th: key, version of its last change, and entry as JSON or nothing when it was
--         deleted, by turns
-- returns the life of the state
local changed = false
for i = 4, #ARGV, 3 do
  local key, at, text = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  local set = tonumber(redis.call('ZSCORE', KEYS[3], key) or '-1')
  local deleted = tonumber(redis.call('ZSCORE', KEYS[4], key) or '-1')
  if at > math.max(set, deleted) then
    changed = true
    if text ~= '' then keep_text(key, text, at) else drop(key, at) end
  end
end
if forgot then
  local time, before = redis.call('TIME'), tonumber(redis.call('HGET', KEYS[6], 'version') or '0')
  redis.call('HSET', KEYS[6], 'at', exact(time[1] * 1000000 + time[2]), 'version',
    exact(math.max(known, before)))
end
if changed or forgot or life == '' then
  change_to(math.max(version, known) + 1)
  -- The restored changes have old versions: every node reads all limits.
  redis.call('HSET', KEYS[5], 'floor', exact(version))
end
return life
