-- Begins the scripts that count, and is no script of its own.
-- Reads the entry of a limit: as it is, if there is one; its text; and where the caller knows
-- another counter, or the limit was deleted, the version of that change.
local function current(limits, changed, deleted, key, epoch)
  local text = redis.call('HGET', limits, key)
  local readable, entry = pcall(cjson.decode, text or '')
  local known = readable and type(entry) == 'table' and tonumber(entry.epoch)
  local version
  if known and known ~= epoch then
    version = redis.call('ZSCORE', changed, key) or '0'
  elseif not text then
    version = redis.call('ZSCORE', deleted, key)
  end
  return known and entry, text or '', version and tonumber(version)
end

