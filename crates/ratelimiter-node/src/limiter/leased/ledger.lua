-- Begins every script of leased counting, and is no script of its own. A transcription of the
-- ledger in ratelimiter-lease; a property test compares the two.
-- KEYS[1] the book, a hash: grant to `charge given end settled`, and under names that no grant has
--         the ledger's clock, sums and last loss
-- KEYS[2] the grants that count, a sorted set by end; KEYS[3] those that no longer count, likewise
-- KEYS[4] the admissions that no grant covers; KEYS[5] the common clock
-- KEYS[6] the version of the limits, KEYS[7] the hash of limits, KEYS[8] and KEYS[9] the versions
--         at which keys were changed and deleted
-- ARGV[1..] limit, window, lease and the lag of the caller's clock, retention (us), epoch,
--         prefix of the caller's grants, key, newest version that the caller read, time on the
--         caller's clock (us)
local limit, window, lease, retention =
  tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local epoch, prefix = tonumber(ARGV[5]), ARGV[6]
local book, ends, past = KEYS[1], KEYS[2], KEYS[3]

-- The entry itself decides: a limit that another node changed holds from the next grant on.
local entry, text, changed = current(KEYS[7], KEYS[8], KEYS[9], ARGV[7], epoch)
local here = entry and not changed
if here then limit, window = tonumber(entry.limit), tonumber(entry.window_sec) * 1000000 end
local behind = tonumber(redis.call('GET', KEYS[6]) or '0') < tonumber(ARGV[8])

local sums = redis.call('HMGET', book, WHOLE, '#last', '#charged', '#open', '#lost')
local function sum(place) return tonumber(sums[place] or '0') end
local last, charged, open, lost = sum(2), sum(3), sum(4), sum(5)
local whole =
  sums[1] and redis.call('ZSCORE', ends, WHOLE) and redis.call('ZSCORE', past, WHOLE)
-- The ledger's clock never steps back: where the common one is behind, it stands still.
local now = math.max(common_clock(KEYS[5], tonumber(ARGV[9]), 0), last, lost)
-- A ledger of which a part was lost begins anew. It grants nothing until all that it may have
-- granted has left the window. One of a counter that is gone stays gone.
if here and not behind and not whole then
  begin_ledger(book, ends, past, now)
  charged, open, lost, whole = 0, 0, now, true
end

local function read(id)
  local grant = redis.call('HGET', book, id)
  if not grant then return nil end
  local charge, given, ending, settled = string.match(grant, '^(%d+) (%d+) (%d+) (%d)$')
  if not charge then return nil end
  return {charge = tonumber(charge), given = tonumber(given),
    ending = tonumber(ending), settled = settled == '1'}
end
local function counts(grant) return grant.ending + window > now end
-- Takes a grant out of the sums, or into them.
local function weigh(grant, sign)
  if not counts(grant) then return end
  charged = charged + sign * grant.charge
  if not grant.settled then open = open + sign * grant.charge end
end
local function write(id, grant)
  local settled = grant.settled and '1' or '0'
  redis.call('HSET', book, id, exact(grant.charge) .. ' ' .. exact(grant.given) .. ' '
    .. exact(grant.ending) .. ' ' .. settled)
  local set, other = ends, past
  if not counts(grant) then set, other = past, ends end
  redis.call('ZREM', other, id)
  redis.call('ZADD', set, exact(grant.ending), id)
end

-- A thousand a call: more would hold up the store, and to count some a little longer is safe.
if whole then
  local ended = redis.call('ZRANGEBYSCORE', ends, '-inf', exact(now - window), 'LIMIT', 0, 1000)
  for _, id in ipairs(ended) do
    local grant = read(id)
    redis.call('ZREM', ends, id)
    if grant then
      charged = charged - grant.charge
      if not grant.settled then open = open - grant.charge end
      redis.call('ZADD', past, exact(grant.ending), id)
    end
  end
  local gone =
    redis.call('ZRANGEBYSCORE', past, '-inf', exact(now - window - retention), 'LIMIT', 0, 1000)
  if #gone > 0 then
    redis.call('HDEL', book, unpack(gone))
    redis.call('ZREM', past, unpack(gone))
  end
end

local function settle(id, spent)
  local grant = read(id)
  if grant then
    weigh(grant, -1)
    grant.charge = math.min(grant.charge, spent)
    grant.ending = math.min(grant.ending, now)
    grant.settled = true
  else
    -- Its request may still be on its way.
    grant = {charge = 0, given = now, ending = now, settled = true}
  end
  write(id, grant)
  weigh(grant, 1)
end

local function keep()
  redis.call('HSET', book, '#last', exact(now), '#charged', exact(charged), '#open', exact(open))
end
