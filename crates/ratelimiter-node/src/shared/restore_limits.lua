-- Gives a store that lost its state the limits a node remembers. Does nothing where another node was first.
-- ARGV    known version, then key and entry by turns
if not forgot then return 0 end
for i = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
change_to(known + 1)
return 1
