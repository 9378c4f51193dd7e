-- Checks of one key by one node, in their order of arrival: forget the old, count the window, add
-- where there is room. Runs as one step of the store.
-- KEYS[1] the key's sorted set, KEYS[2] the hash of limits, KEYS[3] and KEYS[4] the versions at
--         which keys were changed and deleted, KEYS[5] the common clock
-- ARGV    limit, window (us), member prefix, retention (us), and of the caller's own: the newest
--         that was confirmed; the last that was sent and not confirmed, and how many; the newest of
--         all that were sent or are to be, and how many were not confirmed (each a sequence, or
--         nothing where there is none); `repeat` when the same checks were sent before and their
--         answer was lost, or nothing; key, epoch that the caller knows, time on the caller's clock
--         (us), how many were confirmed before a loss and not asked for since, how much longer than
--         its window the set lives (us), by how much the caller's clock may lag (us), `renew`
--         when the caller has not renewed the life lately; then cost, first sequence and deadline
--         (us) of each check
-- returns {now (us); limit; window (us); for another counter than the caller's its entry, or
--         nothing when the limit was deleted; the version of that change; then of each check: 1
--         allowed, 0 denied, -1 too late, -2 forgot or -3 another counter; the admissions in the
--         window after it; the time of the admission that has to leave before quota returns (us) or
--         0 when it is not here yet}
-- Numbers are whole and below 2^53: commands take them and answers give them exactly. Only Lua's
-- own text of them is rounded.
local limit, window, prefix, retention =
  tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local FIRST = 18
local now, date, arrival = common_clock(KEYS[5], tonumber(ARGV[13]), tonumber(ARGV[16]))
local function knows(sequence) return redis.call('ZSCORE', KEYS[1], prefix .. sequence) end

local answers = {date, limit, window, '', 0}
local function answer(verdict, count, leaves)
  local place = #answers
  answers[place + 1], answers[place + 2], answers[place + 3] = verdict, count, leaves
end

-- The entry itself decides: a limit that another node changed holds from the next check on.
local entry, text, changed = current(KEYS[2], KEYS[3], KEYS[4], ARGV[11], tonumber(ARGV[12]))
if entry then limit, window = tonumber(entry.limit), tonumber(entry.window_sec) * 1000000 end
answers[2], answers[3] = limit, window
if changed then
  answers[4], answers[5] = text, changed
  for _ = FIRST, #ARGV, 3 do answer(-3, 0, 0) end
  return answers
end

-- A repeated check that was counted is allowed, and is not counted again.
local function was_counted(sequence) return ARGV[10] ~= '' and knows(sequence) end
-- A store that does not know what it confirmed has lost more than that: what it counts is too
-- little.
local forgot = ARGV[5] ~= '' and not knows(ARGV[5])
-- What the caller admitted by itself counts before it arrives here.
local unheard = tonumber(ARGV[9])
if ARGV[8] ~= '' and knows(ARGV[8]) then
  unheard = tonumber(ARGV[14])
elseif ARGV[6] ~= '' and knows(ARGV[6]) then
  unheard = unheard - tonumber(ARGV[7])
end
local start, gone = now - window, 0
local oldest = tonumber(redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2])
local times = {oldest}
if oldest and oldest <= start then
  local old = redis.call('ZCOUNT', KEYS[1], '-inf', start - retention)
  -- At most some thousands: a set that was idle for long must not hold up the store.
  if old > 0 then redis.call('ZREMRANGEBYRANK', KEYS[1], 0, math.min(old, 2000) - 1) end
  gone = redis.call('ZCOUNT', KEYS[1], '-inf', start)
  times = {}
end
-- The time of the nth admission of the window, or 0 where it is still to be added.
local function nth(number)
  if times[number] == nil then
    local place = gone + number - 1
    times[number] = tonumber(redis.call('ZRANGE', KEYS[1], place, place, 'WITHSCORES')[2]) or 0
  end
  return times[number]
end
local count = redis.call('ZCARD', KEYS[1]) - gone + unheard

local added, score = {}, exact(date)
local function flush()
  if #added > 0 then redis.call('ZADD', KEYS[1], unpack(added)) end
  added = {}
end
local function add(sequence)
  local place = #added
  added[place + 1], added[place + 2] = score, prefix .. sequence
  -- unpack() has room for some thousands.
  if place >= 2000 then flush() end
end
local admitted = false
for i = FIRST, #ARGV, 3 do
  local cost, first = tonumber(ARGV[i]), ARGV[i + 1]
  if was_counted(first) then
    answer(1, count, nth(1))
  elseif arrival > tonumber(ARGV[i + 2]) then
    -- Its caller has stopped waiting, and has another answer by now; or the store's clock stepped.
    answer(-1, 0, 0)
  elseif forgot then
    answer(-2, 0, 0)
  elseif count + cost <= limit then
    add(first)
    for more = 1, cost - 1 do add(exact(tonumber(first) + more)) end
    count = count + cost
    admitted = true
    answer(1, count, nth(1))
  else
    answer(0, count, nth(count + cost - limit))
  end
end
flush()
-- A set that is new gets a life; one in use is renewed now and then.
if admitted and (ARGV[17] == 'renew' or not oldest) then
  redis.call('PEXPIRE', KEYS[1], (window + tonumber(ARGV[15])) / 1000)
end
return answers
