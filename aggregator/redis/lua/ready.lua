#!lua flags=no-writes
-- Reads the entries of some types, as far as these are few.
-- KEYS: one hash of entries for each type. ARGV: how many entries at most.
-- Returns the time in microseconds, then for each type its fields and values, or how many there are.
local time = redis.call('TIME')
local room = tonumber(ARGV[1])
local answer = {string.format('%.0f', time[1] * 1000000 + time[2])}
for i = 1, #KEYS do
  local n = redis.call('HLEN', KEYS[i])
  if n > room then
    answer[i + 1] = n
  else
    room = room - n
    answer[i + 1] = n > 0 and redis.call('HGETALL', KEYS[i]) or {}
  end
end
return answer
