-- Begins every script about limits, and is no script of its own.
-- KEYS[1] the hash of limits, KEYS[2] their version, KEYS[3] and KEYS[4] the versions at which keys
--         were changed and deleted, KEYS[5] the state: its life, and the floor of the deletions
-- ARGV[1] the newest version that the caller knows, ARGV[2] the life it belongs to or nothing,
--         ARGV[3] the caller's boot
local MAX_DELETED = 10000
local version, known = tonumber(redis.call('GET', KEYS[2]) or '0'), tonumber(ARGV[1])
local life = redis.call('HGET', KEYS[5], 'life') or ''
-- Versions only grow: a store that is behind its caller, or has another life, has lost its state.
local forgot = version < known or (ARGV[2] ~= '' and life ~= ARGV[2])
local function exact(number) return string.format('%.0f', number) end
local function change_to(newer)
  version = newer
  redis.call('SET', KEYS[2], exact(version))
  if life == '' then
    local time = redis.call('TIME')
    life = ARGV[3] .. ':' .. time[1] .. ':' .. time[2]
    redis.call('HSET', KEYS[5], 'life', life)
  end
end
local function epoch(text)
  local readable, entry = pcall(cjson.decode, text or '')
  return readable and type(entry) == 'table' and tonumber(entry.epoch)
end
local function keep_text(key, text, at)
  redis.call('HSET', KEYS[1], key, text)
  redis.call('ZADD', KEYS[3], exact(at), key)
  redis.call('ZREM', KEYS[4], key)
end
local function keep(key, entry)
  local text = cjson.encode(entry)
  keep_text(key, text, version)
  return text
end
local function drop(key, at)
  redis.call('HDEL', KEYS[1], key)
  redis.call('ZREM', KEYS[3], key)
  redis.call('ZADD', KEYS[4], exact(at), key)
  if redis.call('ZCARD', KEYS[4]) > MAX_DELETED then
    -- A node that has not seen the oldest deletion reads all limits.
    redis.call('HSET', KEYS[5], 'floor', redis.call('ZPOPMIN', KEYS[4])[2])
  end
end
