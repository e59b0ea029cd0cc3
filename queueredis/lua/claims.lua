-- Claims. c has of each token that holds jobs its record, with 'h' how many it holds, and with 'l' its lease:
-- microseconds and whether it has had the new one that follows a gap. A record is the owner, the ids as
-- the differences between them, and the ids that were taken away. cz has the tokens by the end of their leases.
local cz, cc = B .. 'cz', B .. 'c'
local swept = tonumber(numbers[5] or 0)
local latest = tonumber(numbers[6] or 0)
local shortest = tonumber(numbers[7] or 0)

-- members returns the ids of a record.
local function members(record)
	local ids, id = {}, 0
	for i, d in ipairs(record[2]) do
		id = id + d
		ids[i] = fmt('%x', id)
	end
	return ids
end

-- holds reports whether a state is that of a job which a token holds.
local function holds(token, s)
	return s and byte(s) == C and sub(s, 2, 17) == token
end

-- close ends a claim, of which the record is remembered but for the owner.
local function close(token, record)
	call('ZREM', cz, token)
	call('HDEL', cc, token, token .. 'h', token .. 'l')
	record[1] = ''
	remember('e', token, cmsgpack.pack(record))
end

-- unhold notes that a token holds n jobs less.
local function unhold(token, n)
	if call('HINCRBY', cc, token .. 'h', -n) <= 0 then
		close(token, cmsgpack.unpack(call('HGET', cc, token)))
	end
end

-- lose notes that jobs are taken away from a token.
local function lose(token, ids)
	local record = cmsgpack.unpack(call('HGET', cc, token))
	for _, id in ipairs(ids) do
		record[3][#record[3] + 1] = id
	end
	call('HSET', cc, token, cmsgpack.pack(record))
	unhold(token, #ids)
end

local function count(q, n)
	if call('HINCRBY', B .. 'k', q, n) == 0 then
		call('HDEL', B .. 'k', q)
	end
end

-- history returns the failures, expiries and last error of a job.
local function history(e)
	if not e then
		return 0, 0, ''
	end
	local f, x, err = string.match(e, '^(%d+) (%d+) (.*)$')
	return tonumber(f), tonumber(x), err
end

-- lapse gives back what a token holds and returns how many jobs that is.
local function lapse(token)
	local record = cmsgpack.unpack(call('HGET', cc, token))
	local ids, back, n = members(record), {}, 0
	runs(ids, function(k, i, j)
		local fields = {}
		for at = i, j do
			fields[#fields + 1] = 's' .. sub(ids[at], -1)
			fields[#fields + 1] = 'e' .. sub(ids[at], -1)
		end
		local values = call('HMGET', k, unpack(fields))
		local args = {}
		for at = i, j do
			local id, s = ids[at], values[2 * (at - i) + 1]
			if holds(token, s) then
				local f, x, err = history(values[2 * (at - i) + 2])
				args[#args + 1] = 's' .. sub(id, -1)
				args[#args + 1] = 'R' .. fmt('%d', now)
				args[#args + 1] = 'e' .. sub(id, -1)
				args[#args + 1] = f .. ' ' .. x + 1 .. ' ' .. err
				record[3][#record[3] + 1] = id
				local q = sub(s, 19)
				back[q] = back[q] or {}
				table.insert(back[q], id)
				n = n + 1
			end
		end
		if #args > 0 then
			call('HSET', k, unpack(args))
		end
	end)
	for q, those in pairs(back) do
		count(q, -#those)
		append(q, those, now)
	end
	close(token, record)
	return n
end

-- renew puts right what a store that was away, or a clock that jumped, did to leases.
local function renew(gap)
	local all = call('ZRANGE', cz, 0, -1, 'WITHSCORES')
	for i = 1, #all, 2 do
		local token, left = all[i], all[i + 1] - now
		local ttl, graced = string.match(call('HGET', cc, token .. 'l'), '^(%d+) (%d)$')
		if graced == '0' and gap > ttl / 2 and left < ttl / 2 then
			call('HSET', cc, token .. 'l', ttl .. ' 1')
			call('ZADD', cz, now + ttl, token)
		elseif left / 2 > tonumber(ttl) then
			call('ZADD', cz, now + ttl, token)
		end
	end
end

-- sweep gives back what claims hold whose lease has ended, of claims with a thousand
-- jobs at least before it stops, and returns how many jobs that were.
local function sweep()
	if call('ZCARD', cz) == 0 then
		return 0
	end
	local gap, back = now - swept, now < latest
	swept, latest = now, now
	note('swept', now)
	note('latest', now)
	if back or gap > shortest / 2 then
		renew(gap)
	end
	local n = 0
	while n < 1000 do
		local token = call('ZRANGEBYSCORE', cz, '-inf', now, 'LIMIT', 0, 1)[1]
		if not token then
			break
		end
		n = n + lapse(token)
	end
	return n
end

local function sweepIfDue()
	if now - swept > 1000000 or now < swept then
		sweep()
	end
end

-- lease notes that a claim gets a lease now.
local function lease(ttl)
	if now > latest then
		latest = now
		note('latest', now)
	end
	if call('ZCARD', cz) == 0 or ttl < shortest then
		shortest = ttl
		note('shortest', ttl)
	end
end

-- lapses reports whether the next sweep would end a claim with such a lease.
local function lapses(l, expires)
	local ttl, graced = string.match(l, '^(%d+) (%d)$')
	return expires <= now and (graced == '1' or now - swept <= ttl / 2)
end

-- lapsing returns how many jobs of each queue the next sweep would give back, and since when they could be.
local function lapsing()
	local found = {}
	local ended = call('ZRANGEBYSCORE', cz, '-inf', now, 'WITHSCORES', 'LIMIT', 0, 1000)
	for i = 1, #ended, 2 do
		local token, expires = ended[i], tonumber(ended[i + 1])
		if lapses(call('HGET', cc, token .. 'l'), expires) then
			for _, id in ipairs(members(cmsgpack.unpack(call('HGET', cc, token)))) do
				local k, c = block(id)
				local s = call('HGET', k, 's' .. c)
				if holds(token, s) then
					local q = sub(s, 19)
					local f = found[q] or {0, expires}
					found[q] = {f[1] + 1, math.min(f[2], expires)}
				end
			end
		end
	end
	return found
end
