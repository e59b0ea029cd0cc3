-- set stores or deletes a value.
-- ARGV  3 key; 4 the version that it must have, 0 for none and -1 for any; 5 how long it lives or 0;
--       6 'data' and 7 the data, or 'none'
-- Returns '1' if it was done, and what there is afterwards as read has it, or nothing.
local key = ARGV[3]
local old = read(key)
local version = old and old[2] or '0'
if ARGV[4] ~= '-1' and ARGV[4] ~= version then
	return done({'', old or {}})
end
if ARGV[6] == 'none' then
	call('HDEL', B .. 'v', key)
	call('ZREM', B .. 'vl', key)
	call('ZREM', B .. 'vt', key)
	return done({'1', {}})
end
local last = fresh(tonumber(call('HGET', KEYS[1], 'version') or 0), 0)
note('version', last)
local ends = '0'
if ARGV[5] ~= '0' then
	ends = fmt('%.0f', now + ARGV[5])
	call('ZADD', B .. 'vt', ends, key)
else
	call('ZREM', B .. 'vt', key)
end
call('HSET', B .. 'v', key, fmt('%.0f %.0f ', last, now) .. ends .. ' ' .. ARGV[7])
call('ZADD', B .. 'vl', 0, key)
return done({'1', read(key)})
