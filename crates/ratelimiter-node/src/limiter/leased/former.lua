-- The grants of all nodes that were given until an instant and may still be spent.
-- ARGV[10] the instant on the ledger's clock (us), or nothing for now
-- returns {their charge; the instant}
local instant, out = tonumber(ARGV[10]) or now, 0
if whole then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', ends, '(' .. exact(now), '+inf')) do
    local grant = read(id)
    if grant and not grant.settled and grant.given <= instant then out = out + grant.charge end
  end
  keep()
end
return {out, exact(instant)}
