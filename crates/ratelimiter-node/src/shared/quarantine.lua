-- Puts entries of a wrong type aside, under their name and `:quarantined`.
-- KEYS    the entries; ARGV the type of each: one that TYPE answers, or `number`
-- returns the names of those that were put aside, now or before
local moved = {}
for i, name in ipairs(KEYS) do
  local kind = redis.call('TYPE', name).ok
  local wrong = kind ~= 'none' and kind ~= (ARGV[i] == 'number' and 'string' or ARGV[i])
  if kind == 'string' and ARGV[i] == 'number' then
    wrong = not tonumber(redis.call('GET', name))
  end
  if wrong then
    redis.call('RENAME', name, name .. ':quarantined')
  end
  if redis.call('EXISTS', name .. ':quarantined') == 1 then moved[#moved + 1] = name end
end
return moved
