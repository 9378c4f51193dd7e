-- Begins every script of leased counting, and is no script of its own. A transcription of the
-- ledger in ratelimiter-lease; a property test compares the two.
-- KEYS[1] the book, a hash: grant to `charge given end settled`, and under names that no grant has
--         the ledger's clock and sums
-- KEYS[2] the grants that count, a sorted set by end; KEYS[3] those that no longer count, likewise
-- KEYS[4] the admissions that no grant covers; KEYS[5] when the store lost its state
-- ARGV[1..] limit, window, lease, retention (us), epoch, prefix of the caller's grants
local limit, window, lease, retention =
  tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local epoch, prefix = tonumber(ARGV[5]), ARGV[6]
local book, ends, past = KEYS[1], KEYS[2], KEYS[3]
-- tostring() would round to 14 digits
local function exact(number) return string.format('%.0f', number) end

local sums = redis.call('HMGET', book, '#last', '#offset', '#charged', '#open')
local function sum(place) return tonumber(sums[place] or '0') end
local last, offset, charged, open = sum(1), sum(2), sum(3), sum(4)
local time = redis.call('TIME')
local raw = time[1] * 1000000 + time[2]
-- The ledger's clock never steps back: where the store's does, it stands still and then goes on.
local now = raw + offset
if now < last then
  offset = offset + last - now
  now = last
end

local function read(id)
  local text = redis.call('HGET', book, id)
  if not text then return nil end
  local charge, given, ending, settled = string.match(text, '^(%d+) (%d+) (%d+) (%d)$')
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
if redis.call('EXISTS', ends) == 0 then charged, open = 0, 0 end

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
  redis.call('HSET', book, '#last', exact(now), '#offset', exact(offset), '#charged',
    exact(charged), '#open', exact(open))
  local life = exact((window + lease + 2 * retention) / 1000)
  redis.call('PEXPIRE', book, life)
  redis.call('PEXPIRE', ends, life)
  redis.call('PEXPIRE', past, life)
end
