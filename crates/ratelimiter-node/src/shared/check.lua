-- One check: forget the old, count the window, add if there is room. Runs as one step of the store.
-- KEYS[1] the key's sorted set
-- ARGV    limit, window (us), cost, member prefix, first sequence, deadline (us), retention (us), and of the caller's
--         own: the newest that was confirmed; the last that was sent and not confirmed, and how many; the newest of
--         all that were not confirmed, and how many (each a sequence, or nothing where there is none)
-- returns {1 allowed, 0 denied, -1 too late or -2 forgot; admissions in the window after it; now (us); oldest in the window (us)}
local limit, window, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local first, deadline, retention = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
-- tostring() would round to 14 digits
local function exact(number) return string.format('%.0f', number) end

-- A check whose caller has stopped waiting must not be counted: the caller has another answer by now.
if now > deadline then
  return {-1, 0, exact(now), ''}
end
-- A store that does not know what it confirmed has lost more than that: what it counts is too little.
local function knows(sequence) return redis.call('ZSCORE', KEYS[1], ARGV[4] .. sequence) end
if ARGV[8] ~= '' and not knows(ARGV[8]) then
  return {-2, 0, exact(now), ''}
end
-- What the caller admitted by itself counts before it arrives here.
local unheard = tonumber(ARGV[12])
if ARGV[11] ~= '' and knows(ARGV[11]) then
  unheard = 0
elseif ARGV[9] ~= '' and knows(ARGV[9]) then
  unheard = unheard - tonumber(ARGV[10])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', exact(now - window - retention))
local open = '(' .. exact(now - window)
local count = redis.call('ZCOUNT', KEYS[1], open, '+inf') + unheard
local allowed = 0
if count + cost <= limit then
  allowed = 1
  count = count + cost
  for i = 0, cost - 1 do
    redis.call('ZADD', KEYS[1], exact(now), ARGV[4] .. exact(first + i))
  end
  redis.call('PEXPIRE', KEYS[1], exact((window + 2 * retention) / 1000))
end
local oldest = redis.call('ZRANGEBYSCORE', KEYS[1], open, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
return {allowed, count, exact(now), oldest[2] or ''}
