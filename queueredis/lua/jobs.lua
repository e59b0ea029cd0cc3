-- Where a job stands.
--
-- The id of a job is its number in hexadecimal. The jobs whose ids differ in the last digit alone are a block, which is
-- a hash with up to four fields for each: the digit, which has the body; 's' and the digit: the
-- state, which is 'R' and since when, 'D', 'A', 'C' and token and '0' or '1' and queue, or missing: ready
-- since its push; 'e' and the digit: failures, expiries and the last error, if there are any; 't' and the digit:
-- time and key of its root. A job that is claimed has only the first two unless there is a '1' in its state.
local R, D, A, C = 82, 68, 65, 67

-- block returns the key of the hash that has a job, and the job's digit.
local function block(id)
	return B .. 'j' .. sub(id, 1, -2), sub(id, -1)
end

-- The fields of a job by its digit, a number from 0 to 15.
local digits = {[0] = '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'}
local states = {[0] = 's0', 's1', 's2', 's3', 's4', 's5', 's6', 's7', 's8', 's9', 'sa', 'sb', 'sc', 'sd', 'se', 'sf'}

-- runs calls f with the key of a block, the places of the ids that follow each other in it, and the numbers of all.
local function runs(ids, f)
	local i, n, numbers = 1, #ids, {}
	for at = 1, n do
		numbers[at] = tonumber(ids[at], 16)
	end
	while i <= n do
		local j, from = i, numbers[i] - numbers[i] % 16
		while j < n and j - i < 99 and numbers[j + 1] >= from and numbers[j + 1] < from + 16 do
			j = j + 1
		end
		f(B .. 'j' .. sub(ids[i], 1, -2), i, j, numbers)
		i = j + 1
	end
end

local vacated = {}

-- vacate notes that a block may be without jobs, so that it is taken out of the order of blocks.
local function vacate(k)
	if call('EXISTS', k) == 0 then
		vacated[#vacated + 1] = sub(k, #B + 2)
	end
end

-- spread calls a command on all of args, in parts that a script can hand over.
local function spread(command, key, args)
	local r
	for i = 1, #args, 1000 do
		r = call(command, key, unpack(args, i, math.min(i + 999, #args)))
	end
	return r
end

local woken = {}

-- append puts jobs at the back of a queue, where the first has been ready since then.
local function append(q, ids, since)
	if spread('RPUSH', B .. 'r' .. q, ids) == #ids then
		call('ZADD', B .. 'rz', since, q)
		woken[#woken + 1] = q
	end
end

-- delay has a job wait until it is due.
local function delay(q, id, due)
	call('ZADD', B .. 'd' .. q, due, id)
	call('ZADD', B .. 'dz', 'LT', due, q)
	local k, c = block(id)
	call('HSET', k, 's' .. c, 'D')
end

-- first keeps the order of queues by the earliest of their delayed ('d') or abandoned ('a') jobs.
local function first(kind, q)
	local e = call('ZRANGE', B .. kind .. q, 0, 0, 'WITHSCORES')
	if e[1] and e[2] ~= 'inf' then
		call('ZADD', B .. kind .. 'z', e[2], q)
	else
		call('ZREM', B .. kind .. 'z', q)
	end
end

-- A ready job that is taken out of turn leaves its place in the list behind, which is then
-- void: x has how many of those a queue has, and x with its number which. Of the places of one
-- job those in front are void.
local voids = call('EXISTS', B .. 'x') == 1

local function leave(q, id)
	voids = true
	call('HINCRBY', B .. 'x', q, 1)
	call('HINCRBY', B .. 'x' .. q, id, 1)
end

-- void reports whether the place of a job at the front of a queue is void; the caller removes it then.
local function void(q, id)
	if call('HEXISTS', B .. 'x' .. q, id) == 0 then
		return false
	end
	if call('HINCRBY', B .. 'x' .. q, id, -1) == 0 then
		call('HDEL', B .. 'x' .. q, id)
	end
	if call('HINCRBY', B .. 'x', q, -1) == 0 then
		call('HDEL', B .. 'x', q)
	end
	return true
end

-- since returns when a job at the front of a queue became ready; of one that was so when pushed, to the quarter of a second.
local function since(id)
	local k, c = block(id)
	local s = call('HGET', k, 's' .. c)
	if s and byte(s) == R then
		return tonumber(sub(s, 2))
	end
	return math.min(now, floor(tonumber(id, 16) / 262144) * 250000)
end

-- front notes what is at the front of a queue, where jobs have been taken away.
-- A list is never void as a whole.
local function front(q)
	local list = B .. 'r' .. q
	if voids then
		local n = tonumber(call('HGET', B .. 'x', q) or 0)
		if n > 0 and n == call('LLEN', list) then
			call('UNLINK', list, B .. 'x' .. q)
			call('HDEL', B .. 'x', q)
			n = 0
		end
		for _ = 1, math.min(n, 1000) do
			local id = call('LINDEX', list, 0)
			if not void(q, id) then
				break
			end
			call('LPOP', list)
		end
	end
	local id = call('LINDEX', list, 0)
	if id then
		call('ZADD', B .. 'rz', since(id), q)
	else
		call('ZREM', B .. 'rz', q)
	end
end

-- release makes at most n of the jobs of a queue ready that are due.
local function release(q, n)
	local found = call('ZRANGEBYSCORE', B .. 'd' .. q, '-inf', now, 'WITHSCORES', 'LIMIT', 0, n)
	if #found == 0 then
		first('d', q)
		return 0
	end
	local ids = {}
	for i = 1, #found, 2 do
		ids[#ids + 1] = found[i]
	end
	runs(ids, function(k, i, j)
		local args = {}
		for at = i, j do
			args[#args + 1] = 's' .. sub(ids[at], -1)
			args[#args + 1] = 'R' .. found[2 * at]
		end
		call('HSET', k, unpack(args))
	end)
	append(q, ids, found[2])
	call('ZREMRANGEBYRANK', B .. 'd' .. q, 0, #ids - 1)
	first('d', q)
	return #ids
end

-- releaseAny makes at most n jobs ready that are due, in any queue, those first that have been for longest.
local function releaseAny(n)
	local released = 0
	while released < n do
		local q = call('ZRANGEBYSCORE', B .. 'dz', '-inf', now, 'LIMIT', 0, 1)[1]
		if not q then
			break
		end
		released = released + release(q, math.min(n - released, 100))
	end
	return released
end

-- done stores the numbers that have changed, tells who waits which queues are no longer empty, and returns r.
local function done(r)
	if #vacated > 0 then
		spread('ZREM', B .. 'jz', vacated)
	end
	if #set > 0 then
		call('HSET', KEYS[1], unpack(set))
	end
	for i = 1, #woken, 100 do
		local names = call('HMGET', B .. 'q', unpack(woken, i, math.min(i + 99, #woken)))
		for at = 1, #names do
			names[at] = #names[at] .. ':' .. names[at]
		end
		redis.pcall('PUBLISH', B .. 'wake', table.concat(names)) -- a hint
	end
	return r
end
