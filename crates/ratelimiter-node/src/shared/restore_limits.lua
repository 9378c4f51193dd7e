-- Gives a store that lost its state the limits and deletions that a node remembers. For each key
-- the newest change holds.
-- ARGV    from the 7th: key, version of its last change, and entry as JSON or nothing when it was
--         deleted, by turns
-- returns the life of the state
local changed = false
if forgot then note_loss() end
-- In another life the nodes give what they remember before they read.
if torn or older then begin_life() end
for i = FIRST, #ARGV, 3 do
  local key, at, text = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  local set = redis.call('HEXISTS', KEYS[1], key) == 1 and redis.call('ZSCORE', KEYS[3], key)
  local deleted = redis.call('ZSCORE', KEYS[4], key)
  if at > math.max(tonumber(set or '-1'), tonumber(deleted or '-1')) then
    changed = true
    if text ~= '' then keep_text(key, text, at) else drop(key, at) end
  end
end
if changed or forgot or life == '' then
  version = math.max(version, known)
  next_version()
  -- The restored changes have old versions: every node reads all limits.
  redis.call('HSET', KEYS[5], 'floor', exact(version))
end
for i = FIRST, #ARGV, 3 do
  local entry = read(ARGV[i + 2])
  -- Its ledger was lost as well. One that is there goes on.
  if is_leased(entry) and ARGV[6] == 'ledgers'
    and redis.call('HEXISTS', (ledger(ARGV[i], entry.epoch)), WHOLE) == 0 then
    begin_counter(ARGV[i], entry)
  end
end
return life
