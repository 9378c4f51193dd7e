-- Settlements of one node, and a request for a grant if there is one.
-- ARGV[10..] newest grant that the caller was given (or nothing), nodes, recheck (us), own
--         admissions on their way to KEYS[4], number of the request (or nothing), need, alike,
--         queued, ahead; then number and spent part of each settlement
-- returns {2 settled, 1 granted, 0 denied, -1 closed, -2 the ledger or the limits were lost, -3
--         learning after a loss, -4 another counter; charge; given (us); room; how long the answer
--         holds (us); time until enough charge leaves (us); for another counter its entry, or
--         nothing when the limit was deleted; the version of that change}
local newest, nodes, recheck, coming =
  ARGV[10], tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])
local number = ARGV[14]
local need, alike, queued, ahead =
  tonumber(ARGV[15]), tonumber(ARGV[16]), tonumber(ARGV[17]), tonumber(ARGV[18])

-- A ledger that is gone has nothing to settle, and is not made again for it.
if whole then
  for i = 19, #ARGV, 2 do
    settle(prefix .. ARGV[i], tonumber(ARGV[i + 1]))
  end
end
local function answer(verdict, charge, given, room, hold, frees)
  if whole then keep() end
  return {verdict, charge, exact(given), room, exact(hold), exact(frees), '', 0}
end
if number == '' then return answer(2, 0, 0, 0, 0, 0) end
if behind then return answer(-2, 0, 0, 0, 0, 0) end
-- Nothing is granted in a counter that was reset.
if changed then
  if whole then keep() end
  return {-4, 0, 0, 0, 0, 0, text, changed}
end
if not here or (newest ~= '' and redis.call('HEXISTS', book, prefix .. newest) == 0) then
  return answer(-2, 0, 0, 0, 0, 0)
end
-- Grants that were lost may still be spent, and their admissions are still in the window.
local learned = lost > 0 and lost + lease + window or 0
if now < learned then return answer(-3, 0, 0, 0, learned - now, learned - now) end

local outside = coming + redis.call('ZCOUNT', KEYS[4], '(' .. exact(now - window), '+inf')
local room = math.max(0, limit - charged - outside)
local id = prefix .. number
local known = read(id)
if known then
  if known.settled then return answer(-1, 0, 0, room, 0, 0) end
  return answer(1, known.charge, known.given, room, 0, 0)
end
if room >= need then
  local waiting = queued
  if room < queued then waiting = need * math.min(alike, math.floor(room / need)) end
  local share = math.floor((room - waiting) / (2 * nodes))
  if share < 4 then share = 0 end
  local charge = waiting + math.min(ahead, share)
  local grant = {charge = charge, given = now, ending = now + lease, settled = false}
  write(id, grant)
  weigh(grant, 1)
  return answer(1, charge, now, room - charge, 0, 0)
end

local wanted, left, frees, from = charged + outside + need, 0, window, 0
while true do
  local page = redis.call('ZRANGE', ends, from, from + 99, 'WITHSCORES')
  if #page == 0 then break end
  for i = 1, #page, 2 do
    local grant = read(page[i])
    left = left + (grant and grant.charge or 0)
    if wanted <= limit + left then
      frees = tonumber(page[i + 1]) + window - now
      break
    end
  end
  if wanted <= limit + left then break end
  from = from + 100
end
-- Open grants may be given back before they end, and others' admissions leave at times not known
-- here.
local hold = frees
if open + outside > 0 and wanted <= limit + open + outside then hold = math.min(frees, recheck) end
return answer(0, 0, 0, room, hold, frees)
