-- Begins the scripts that count, and is no script of its own: the one rule for the time of all
-- counting modes.
-- The common clock is the store's own and an offset. Only nodes set the offset, since only they
-- have clocks that never step (clock.rs). Here every call compares the two:
--
--     callers - PATIENCE    callers    callers + PATIENCE
--   -------|------------------ ok -------------|--------
--     the store's clock                  the call was long on its way,
--     stepped back                       or the store's clock stepped
--
-- Where they disagree by more than clocks drift between two readings, the caller's time holds. It
-- is true of the instant at which the call left, so that an admission of this time still lies
-- between its request and its answer.
-- mark    the hash of the common clock: `offset`, and `at`, the newest time that a node has sent
-- callers time at which the call left, on the common clock (us), or nothing when it has no clock
-- lag     by how much it may be too early (us)
-- returns the earliest and the latest time of the call, and its arrival by the store's clock, later
--         where that one stepped
local PATIENCE = 20000
local function exact(number) return string.format('%.0f', number) end
local function common_clock(mark, callers, lag)
  local time = redis.call('TIME')
  local kept = redis.call('HMGET', mark, 'offset', 'at')
  local raw = time[1] * 1000000 + time[2]
  local arrival = raw + tonumber(kept[1] or '0')
  if not callers or (math.abs(arrival - callers) <= PATIENCE) then
    return arrival, arrival, arrival
  end
  local now = math.max(callers, tonumber(kept[2] or '0'))
  -- No heartbeat reaches the mark of a key in a store cluster: its calls keep it.
  if string.sub(mark, 1, 1) ~= '{' and math.abs(arrival - now) > lag + PATIENCE then
    redis.call('HSET', mark, 'offset', exact(now - raw), 'at', exact(now))
  end
  return now, math.max(now, callers + lag), arrival
end
