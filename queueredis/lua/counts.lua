-- counts counts the jobs of at most a thousand queues.
-- ARGV  3 the number of a queue to begin with, or '' and then their names
-- Returns name, ready, delayed, claimed, abandoned and age of each, and the number to go on with or ''.
local names, qs, next = {}, {}, ''
if ARGV[3] ~= '' then
	local numbers, at = {}, tonumber(ARGV[3])
	for n = at, math.min(at + 999, lastQueue) do
		numbers[#numbers + 1] = fmt('%.0f', n)
	end
	if #numbers > 0 then
		for i, name in ipairs(call('HMGET', B .. 'q', unpack(numbers))) do
			if name then
				names[#names + 1] = name
				qs[#qs + 1] = numbers[i]
			end
		end
	end
	if at + 1000 <= lastQueue then
		next = fmt('%.0f', at + 1000)
	end
else
	for at = 4, #ARGV do
		names[#names + 1] = ARGV[at]
	end
	qs = queues(names)
end
local ended, found = lapsing(), {}
for i, q in ipairs(qs) do
	local n = {0, 0, 0, 0, 0}
	if q then
		local due = call('ZCOUNT', B .. 'd' .. q, '-inf', now)
		local l = ended[q] or {0, now}
		local live = call('LLEN', B .. 'r' .. q) - (voids and call('HGET', B .. 'x', q) or 0)
		n[1] = live + due + l[1]
		n[2] = call('ZCARD', B .. 'd' .. q) - due
		n[3] = (call('HGET', B .. 'k', q) or 0) - l[1]
		n[4] = call('ZCARD', B .. 'a' .. q)
		if n[1] > 0 then
			local at = l[2]
			if live > 0 then
				at = math.min(at, tonumber(call('ZSCORE', B .. 'rz', q)))
			elseif due > 0 then
				at = math.min(at, tonumber(call('ZRANGE', B .. 'd' .. q, 0, 0, 'WITHSCORES')[2]))
			end
			n[5] = math.max(0, now - at)
		end
	end
	found[#found + 1] = names[i]
	for _, v in ipairs(n) do
		found[#found + 1] = fmt('%.0f', v)
	end
end
return {found, next}
