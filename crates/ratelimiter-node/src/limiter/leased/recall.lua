-- Grants of one node that the ledger has lost. None of a counter that is gone.
-- ARGV[10..] number, charge, and for how long it has been closed (us; nothing while it is open), of
--         each
if not here or not whole then return end
for i = 10, #ARGV, 3 do
  local id, charge = prefix .. ARGV[i], tonumber(ARGV[i + 1])
  local ending = ARGV[i + 2] == '' and now + lease or math.max(0, now - tonumber(ARGV[i + 2]))
  local grant = read(id)
  if grant then
    weigh(grant, -1)
    grant.charge = math.max(grant.charge, charge)
    grant.ending = math.max(grant.ending, ending)
  else
    -- When it was given is forgotten. Early enough to cover every admission that it had.
    grant = {charge = charge, given = 0, ending = ending, settled = ARGV[i + 2] ~= ''}
  end
  write(id, grant)
  weigh(grant, 1)
end
keep()
