-- Begins every script about limits, and is no script of its own.
-- KEYS[1] the hash of limits, KEYS[2] their version, KEYS[3] and KEYS[4] the versions at which keys
--         were changed and deleted, KEYS[5] the state: its life, the floor of the deletions, and
--         when its last loss was noticed; KEYS[6] the common clock
-- ARGV[1] the newest version that the caller knows, ARGV[2] the life it belongs to or nothing,
--         ARGV[3] the caller's boot, ARGV[4] time on the caller's clock (us) or nothing, ARGV[5]
--         run ids of stores that were made for this cluster, ARGV[6] `ledgers` when the ledgers of
--         leased keys are in this store
local MAX_DELETED = 10000
local FIRST = 7
-- Every part has a member of this name, which no key has: a part without it was lost.
local PART = ''
local version, known = tonumber(redis.call('GET', KEYS[2]) or '0'), tonumber(ARGV[1])
local life = redis.call('HGET', KEYS[5], 'life') or ''
local now = common_clock(KEYS[6], tonumber(ARGV[4]), 0)
-- Until when grants may have been given that no ledger has; 0 for never.
local lost = tonumber(redis.call('HGET', KEYS[5], 'lost') or '0')
local torn = life ~= '' and not (redis.call('HEXISTS', KEYS[1], PART) == 1
  and redis.call('ZSCORE', KEYS[3], PART) and redis.call('ZSCORE', KEYS[4], PART))
-- Versions only grow: a store that is behind its caller has lost its state.
local older = version < known and life == ARGV[2]
local forgot = torn or version < known or (ARGV[2] ~= '' and life ~= ARGV[2])
-- A store that was made for this cluster is empty because it is new, and any other because it lost
-- its state.
local function is_new()
  if ARGV[5] == '' then return false end
  -- To a user who may not ask, every store is unknown.
  local info = redis.pcall('INFO', 'server')
  local id = type(info) == 'string' and string.match(info, 'run_id:(%x+)')
  return id and string.find(ARGV[5], id, 1, true)
end
local function note_loss()
  lost = now
  redis.call('HSET', KEYS[5], 'lost', exact(lost))
end
-- The versions of a life are later than all that a node remembers of former ones: a change that is
-- made in it holds over theirs. So they begin with the time, in milliseconds: the entries of the
-- limits have room for 14 digits.
local function begin_life()
  local time = redis.call('TIME')
  life = ARGV[3] .. ':' .. time[1] .. ':' .. time[2]
  redis.call('HSET', KEYS[5], 'life', life)
  redis.call('HSET', KEYS[1], PART, life)
  redis.call('ZADD', KEYS[3], 0, PART)
  redis.call('ZADD', KEYS[4], 0, PART)
  version = math.max(version, known, math.floor(now / 1000))
end
local function next_version()
  if life == '' then
    if not is_new() then note_loss() end
    begin_life()
  end
  version = version + 1
  redis.call('SET', KEYS[2], exact(version))
end
local function read(text)
  local readable, entry = pcall(cjson.decode, text or '')
  return readable and type(entry) == 'table' and tonumber(entry.epoch) and entry
end
local function ledger(key, epoch)
  local function name(part) return 'ratelimiter:' .. part .. ':{' .. key .. '}:' .. exact(epoch) end
  return name('grants'), name('ends'), name('past')
end
local function is_leased(entry) return entry and entry.counting == 'leased' end
-- The counter of a leased key begins with its ledger, and leaves one that nodes still settle.
local function begin_counter(key, entry)
  if ARGV[6] ~= 'ledgers' or not is_leased(entry) then return end
  local book, ends, past = ledger(key, entry.epoch)
  begin_ledger(book, ends, past, lost)
end
local function end_counter(key, entry)
  if ARGV[6] ~= 'ledgers' or not is_leased(entry) then return end
  for _, part in ipairs({ledger(key, entry.epoch)}) do redis.call('PEXPIRE', part, 60000) end
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
  if redis.call('ZCARD', KEYS[4]) > MAX_DELETED + 1 then
    -- A node that has not seen the oldest deletion reads all limits.
    local oldest = redis.call('ZRANGE', KEYS[4], 1, 1, 'WITHSCORES')
    redis.call('ZREM', KEYS[4], oldest[1])
    redis.call('HSET', KEYS[5], 'floor', oldest[2])
  end
end
