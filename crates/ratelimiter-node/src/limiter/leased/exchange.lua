-- Settlements of one node, and a request for a grant if there is one.
-- KEYS[6] the version of the limits, KEYS[7] the hash of limits, KEYS[8] and KEYS[9] the versions
--         at which keys were changed and deleted
-- ARGV[7..] newest grant that the caller was given (or nothing), nodes, recheck (us), own
--         admissions on their way to KEYS[4], newest version that the caller read, number of the
--         request (or nothing), need, alike, queued, ahead, key; then number and spent part of each
--         settlement
-- returns {2 settled, 1 granted, 0 denied, -1 closed, -2 the ledger was lost, -3 learning after a
--         loss, -4 another counter; charge; given (us); room; how long the answer holds (us); time
--         until enough charge leaves (us); for another counter its entry, or nothing when the limit
--         was deleted; the version of that change}
local newest, nodes, recheck, coming =
  ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local version, number = tonumber(ARGV[11]), ARGV[12]
local need, alike, queued, ahead =
  tonumber(ARGV[13]), tonumber(ARGV[14]), tonumber(ARGV[15]), tonumber(ARGV[16])

local behind = tonumber(redis.call('GET', KEYS[6]) or '0') < version
if number ~= '' and not behind then
  -- Nothing is granted in a counter that was reset, and nothing of it is kept.
  local _, text, changed = current(KEYS[7], KEYS[8], KEYS[9], ARGV[17], epoch)
  if changed then return {-4, 0, 0, 0, 0, 0, text, changed} end
end
for i = 18, #ARGV, 2 do
  settle(prefix .. ARGV[i], tonumber(ARGV[i + 1]))
end
local function answer(verdict, charge, given, room, hold, frees)
  keep()
  return {verdict, charge, exact(given), room, exact(hold), exact(frees), '', 0}
end
if number == '' then return answer(2, 0, 0, 0, 0, 0) end
if behind or (newest ~= '' and redis.call('HEXISTS', book, prefix .. newest) == 0) then
  return answer(-2, 0, 0, 0, 0, 0)
end
-- A store that lost its state may have lost grants that are still spent, and admissions that are
-- still in the window.
local loss = redis.call('HMGET', KEYS[5], 'at', 'version')
if loss[1] and epoch <= tonumber(loss[2]) then
  local learned = tonumber(loss[1]) + lease + window
  if raw < learned then return answer(-3, 0, 0, 0, learned - raw, learned - raw) end
end

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
    left = left + read(page[i]).charge
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
