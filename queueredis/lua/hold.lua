-- hold takes jobs that are ready or delayed out of their queue, into a hold.
-- ARGV  3 the hold; 4 its label; 5 name of the queue; 6 and so on: of each job id, and '' or why it cannot be read, so
--       that it is abandoned instead
-- Returns the jobs that are in the hold as tell does, none if all are gone by now.
local hold, q = ARGV[3], queues({ARGV[5]})[1]
if call('HEXISTS', B .. 'h', hold) == 1 or ended(hold) or not q then
	return done(tell(hold))
end

-- Those at the front of the line leave no places behind.
local inFront, line = {}, {}
if not (voids and call('HEXISTS', B .. 'x', q) == 1) then
	line = call('LRANGE', B .. 'r' .. q, 0, (#ARGV - 5) / 2 - 1)
	local n = 0
	for i, id in ipairs(line) do
		if id ~= ARGV[4 + 2 * i] then
			break
		end
		inFront[id] = true
		n = i
	end
	if n > 0 then
		call('LPOP', B .. 'r' .. q, n)
	end
end

local jobs = {}
for at = 6, #ARGV, 2 do
	local id, reason = ARGV[at], ARGV[at + 1]
	local k, c = block(id)
	local v = call('HMGET', k, c, 's' .. c, 'e' .. c, 't' .. c)
	local body, s = v[1], v[2]
	local kind = s and byte(s) or R
	if body and struct.unpack('>I4', body) == tonumber(q) and (kind == R or kind == D) then
		local due, digest = '', ''
		if kind == D then
			due = call('ZSCORE', B .. 'd' .. q, id)
			call('ZREM', B .. 'd' .. q, id)
		elseif not inFront[id] then
			leave(q, id)
		end
		if byte(body, 13) % 2 == 1 and call('HGET', B .. 'u' .. q, sub(body, 14, 29)) == id then
			call('HDEL', B .. 'u' .. q, sub(body, 14, 29))
			digest = '1'
		end
		if reason == '' then
			call('HDEL', k, c, 's' .. c, 'e' .. c, 't' .. c)
			vacate(k)
			jobs[#jobs + 1] = {body, v[3] or '', v[4] or '', due, digest}
		else
			local f, x = history(v[3])
			call('HSET', k, 'e' .. c, f + 1 .. ' ' .. x .. ' ' .. reason, 's' .. c, 'A')
			call('ZADD', B .. 'a' .. q, 'inf', id)
		end
	end
end
front(q)
first('d', q)
first('a', q)
if #jobs > 0 then
	keep(hold, ARGV[4], ARGV[5], jobs)
end
return done(tell(hold))
