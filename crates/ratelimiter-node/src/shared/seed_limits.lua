-- Adds the limits of a node's file that the store does not have.
-- ARGV    from the 7th: key and entry as JSON, by turns
if forgot then return 0 end
local added = {}
for i = FIRST, #ARGV, 2 do
  if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 0 then added[#added + 1] = i end
end
if #added > 0 then change_to(version + 1) end
for _, i in ipairs(added) do
  keep_text(ARGV[i], ARGV[i + 1], version)
  begin_counter(ARGV[i], read(ARGV[i + 1]))
end
return #added
