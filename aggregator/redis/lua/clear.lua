#!lua flags=allow-oom
-- Deletes the entries that still have the version that was seen.
-- KEYS: the types, then one hash of entries for each type.
-- ARGV: for each entry: which of the hashes, type, domain, version.
for i = 1, #ARGV, 4 do
  local hash, type, domain, version = KEYS[1 + ARGV[i]], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local entry = redis.call('HGET', hash, domain)
  if entry and string.match(entry, '^%d+') == version then
    redis.call('HDEL', hash, domain)
    if redis.call('EXISTS', hash) == 0 then
      redis.call('SREM', KEYS[1], type)
    end
  end
end
return redis.status_reply('OK')
