-- Keeps a copy of a limit beside the admissions of its key, in a store cluster. The newest change
-- holds.
-- KEYS[1] the limit, a hash; KEYS[2] and KEYS[3] the versions at which it was changed and deleted;
--         KEYS[4] the version of its last change
-- ARGV    key, version of its last change, entry as JSON or nothing when it was deleted, time of
--         the last loss (us) when the caller made this change a moment ago or nothing
local key, text = ARGV[1], ARGV[3]
local version = redis.call('GET', KEYS[4])
local function read(entry)
  local readable, value = pcall(cjson.decode, entry or '')
  return readable and type(value) == 'table' and tonumber(value.epoch) and value
end
local before, entry = read(redis.call('HGET', KEYS[1], key)), read(text)
if version and tonumber(version) >= tonumber(ARGV[2]) and (before or not entry) then return 0 end
local function ledger(epoch)
  local function name(part)
    return 'ratelimiter:' .. part .. ':{' .. key .. '}:' .. string.format('%.0f', epoch)
  end
  return name('grants'), name('ends'), name('past')
end
if before and not (entry and entry.epoch == before.epoch) then
  for _, part in ipairs({ledger(before.epoch)}) do redis.call('PEXPIRE', part, 60000) end
end
-- The counter is new here. Where neither is known, its ledger was lost with the copy.
local is_new = version and entry and tonumber(version) < entry.epoch
local made = ARGV[4] ~= '' and entry and entry.epoch == tonumber(ARGV[2])
if entry and entry.counting == 'leased' and (is_new or made) then
  local book, ends, past = ledger(entry.epoch)
  begin_ledger(book, ends, past, tonumber(ARGV[4]) or 0)
end
if entry then
  redis.call('HSET', KEYS[1], key, text)
  redis.call('ZADD', KEYS[2], ARGV[2], key)
  redis.call('ZREM', KEYS[3], key)
else
  redis.call('HDEL', KEYS[1], key)
  redis.call('ZREM', KEYS[2], key)
  redis.call('ZADD', KEYS[3], ARGV[2], key)
end
redis.call('SET', KEYS[4], ARGV[2])
return 1
