#!lua flags=allow-oom
-- Adds entries, or gives those that are there a new version.
-- KEYS: the version, the types, then one hash of entries for each type.
-- ARGV: the channel, then for each entry: which of the hashes, type, domain, age in microseconds.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- By the clock, so that a server that lost its memory does not give out a version again.
local version = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0) + 1)
redis.call('SET', KEYS[1], string.format('%.0f', version))

local fresh = {}
for i = 2, #ARGV, 4 do
  local hash, type, domain, age = KEYS[2 + ARGV[i]], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local since = now - age
  local entry = redis.call('HGET', hash, domain)
  if not entry then
    redis.call('SADD', KEYS[2], type)
    fresh[#fresh + 1] = {domain, type}
  elseif age == 0 then
    since = tonumber(string.match(entry, ' (%-?%d+)$')) or now
  end
  redis.call('HSET', hash, domain, string.format('%.0f %.0f', version, since))
end
if #fresh > 0 then
  redis.call('PUBLISH', ARGV[1], cjson.encode(fresh))
end
return #fresh
