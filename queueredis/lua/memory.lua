-- What is remembered for a while and then forgotten: answers to pushes ('p'), claims that have
-- ended ('e'), holds that have ended ('o') and root marks ('m'). Each is in the younger or the older of two hashes. The younger
-- becomes the older after the time that it must be remembered, so nothing is kept for more than twice as long.
local memories = {p = 900000000, e = 900000000, o = 2419200000000, m = 2419200000000}
local written = {}

-- recall returns what is remembered under a field, or false.
local function recall(kind, field)
	return call('HGET', B .. kind .. '1', field) or call('HGET', B .. kind .. '0', field)
end

-- turn lets the younger hash become the older one, if it is time, and returns how much that forgets.
local function turn(kind)
	local at = call('HMGET', KEYS[1], kind .. 'born', kind .. 'last')
	local born, last, memory = tonumber(at[1] or 0), tonumber(at[2] or 0), memories[kind]
	if born > now then -- The clock was set back; until it is there again nothing would be forgotten.
		call('HSET', KEYS[1], kind .. 'born', now)
		return 0
	end
	if now - born <= memory and now - last <= memory then
		return 0
	end
	local young, old = B .. kind .. '1', B .. kind .. '0'
	local n = call('HLEN', old)
	call('UNLINK', old)
	if now - last > memory then
		n = n + call('HLEN', young)
		call('UNLINK', young)
	elseif call('EXISTS', young) == 1 then
		call('RENAME', young, old)
	end
	call('HSET', KEYS[1], kind .. 'born', now, kind .. 'last', now)
	return n
end

-- remember keeps a value under a field.
local function remember(kind, field, value)
	if not written[kind] then
		written[kind] = true
		turn(kind)
		note(kind .. 'last', now)
	end
	call('HSET', B .. kind .. '1', field, value)
end
