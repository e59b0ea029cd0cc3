-- maintain does a bounded amount of hygiene.
-- ARGV  3 what, of: s sweep, r release, p prune, f forget, q queues that hold nothing
-- Returns how many jobs were recycled, released and pruned, how much was forgotten, and what there is more of.
local what, more = ARGV[3], ''
local recycled, released, pruned, forgotten = 0, 0, 0, 0

local function asked(letter)
	return string.find(what, letter, 1, true)
end

if asked('s') then
	recycled = sweep()
	if recycled >= 1000 then
		more = more .. 's'
	end
end
if asked('r') then
	released = releaseAny(1000)
	if released >= 1000 then
		more = more .. 'r'
	end
end
while asked('p') and pruned < 1000 do
	local q = call('ZRANGEBYSCORE', B .. 'az', '-inf', now, 'LIMIT', 0, 1)[1]
	if not q then
		break
	end
	local ids = call('ZRANGEBYSCORE', B .. 'a' .. q, '-inf', now, 'LIMIT', 0, 100)
	for _, id in ipairs(ids) do
		local k, c = block(id)
		call('HDEL', k, c, 's' .. c, 'e' .. c, 't' .. c)
		vacate(k)
	end
	if #ids > 0 then
		call('ZREMRANGEBYRANK', B .. 'a' .. q, 0, #ids - 1)
	end
	first('a', q)
	pruned = pruned + #ids
end
if pruned >= 1000 then
	more = more .. 'p'
end
if asked('f') then
	forgotten = turn('p') + turn('e') + turn('o') + turn('m')
	local keys = call('ZRANGEBYSCORE', B .. 'vt', '-inf', now, 'LIMIT', 0, 1000)
	if #keys > 0 then
		call('HDEL', B .. 'v', unpack(keys))
		call('ZREM', B .. 'vl', unpack(keys))
		call('ZREM', B .. 'vt', unpack(keys))
		forgotten = forgotten + #keys
		if #keys == 1000 then
			more = more .. 'f'
		end
	end
	call('ZREMRANGEBYSCORE', B .. 'b', '-inf', now)
end
if asked('q') and lastQueue > 0 then
	local from, numbers = tonumber(call('HGET', KEYS[1], 'tidied') or 1), {}
	for n = from, math.min(from + 499, lastQueue) do
		numbers[#numbers + 1] = fmt('%.0f', n)
	end
	for i, name in ipairs(#numbers > 0 and call('HMGET', B .. 'q', unpack(numbers)) or {}) do
		local q = numbers[i]
		if name and call('EXISTS', B .. 'r' .. q, B .. 'd' .. q, B .. 'a' .. q) == 0 and call('HEXISTS', B .. 'k', q) == 0 then
			call('HDEL', B .. 'n', name)
			call('HDEL', B .. 'q', q)
		end
	end
	note('tidied', from + 500 > lastQueue and 1 or from + 500)
end
return done({recycled, released, pruned, forgotten, more})
