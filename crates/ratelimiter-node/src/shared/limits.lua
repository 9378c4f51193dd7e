-- Begins every script about limits, and is no script of its own.
-- KEYS[1] the hash of limits, KEYS[2] its version
-- ARGV[1] the newest version that the caller knows
local version, known = tonumber(redis.call('GET', KEYS[2]) or '0'), tonumber(ARGV[1])
-- Versions only grow: a store that is behind its caller has lost its state, and is to be told before it is changed.
local forgot = version < known
local function change_to(newer)
  version = newer
  redis.call('SET', KEYS[2], string.format('%.0f', version))
end
local function epoch(text)
  local readable, entry = pcall(cjson.decode, text or '')
  return readable and type(entry) == 'table' and tonumber(entry.epoch)
end
local function keep(key, entry)
  local text = cjson.encode(entry)
  redis.call('HSET', KEYS[1], key, text)
  return text
end
