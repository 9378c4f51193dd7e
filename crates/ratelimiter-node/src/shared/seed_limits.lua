-- Adds the limits of a node's file that the store does not have.
-- ARGV    from the 4th: key and entry as JSON, by turns
if forgot then return 0 end
local added = 0
for i = 4, #ARGV, 2 do
  if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 0 then
    added = added + 1
    keep_text(ARGV[i], ARGV[i + 1], version + 1)
  end
end
if added > 0 then change_to(version + 1) end
return added
