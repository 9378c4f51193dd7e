-- Begins the scripts that make ledgers, and is no script of its own.
-- A ledger is made once, by the change that begins its counter, and never expires. Each of its
-- parts has a member of this name, also when it is empty: a part without it was lost.
local WHOLE = '#'
-- lost    time of the loss before which grants may have been given that the ledger lacks (us); 0
--         for a counter of which there are none
local function begin_ledger(book, ends, past, lost)
  redis.call('DEL', book, ends, past)
  redis.call('HSET', book, WHOLE, 1, '#lost', string.format('%.0f', lost))
  redis.call('ZADD', ends, '+inf', WHOLE)
  redis.call('ZADD', past, '+inf', WHOLE)
end
