-- Two of the orders of turn: to settle and to extend claims.

-- settledBy returns the jobs that a token was opened on and that were not taken away from it.
-- Those that it does not hold it has settled.
local function settledBy(token)
	local record, found = call('HGET', cc, token) or recall('e', token), {}
	if record then
		record = cmsgpack.unpack(record)
		for _, id in ipairs(members(record)) do
			found[id] = true
		end
		for _, id in ipairs(record[3]) do
			found[id] = nil
		end
	end
	return found
end

-- settle: how many runs, and of each the token and 'd', how many, and the ids of jobs that are done; or
-- 'r', 'g' or 'a', for retry, give back or abandon, id, delay, how long to keep it or '', and the error or ''.
-- Answers the places of those that were lost, from 0.
local function settle(at)
	local lost, place, before = {}, 0, {}
	local n = tonumber(ARGV[at])
	at = at + 1
	for _ = 1, n do
		local token, kind = ARGV[at], ARGV[at + 1]
		local ids, a, few = {}, at + 2, 1
		if kind == 'd' then
			few = tonumber(ARGV[at + 2])
			a = at + 3
		end
		for i = 1, few do
			ids[i] = ARGV[a + i - 1]
		end
		local held, ofQueue, queueOf = 0, {}, {} -- many jobs have the same state
		runs(ids, function(k, i, j)
			local fields = {}
			for p = i, j do
				fields[#fields + 1] = 's' .. sub(ids[p], -1)
			end
			local values = call('HMGET', k, unpack(fields))
			local gone, seen = {}, {}
			for p = i, j do
				local s, c = values[p - i + 1], sub(ids[p], -1)
				local q = queueOf[s]
				if q == nil then
					q = holds(token, s) and sub(s, 19)
					queueOf[s] = q
				end
				if q and not seen[c] then
					held = held + 1
					seen[c] = true
					ofQueue[q] = (ofQueue[q] or 0) + 1
					gone[#gone + 1] = c
					gone[#gone + 1] = 's' .. c
					if byte(s, 18) == 49 then
						gone[#gone + 1] = 'e' .. c
						gone[#gone + 1] = 't' .. c
					end
				elseif not seen[c] then
					before[token] = before[token] or settledBy(token)
					if not before[token][ids[p]] then
						lost[#lost + 1] = place + p - 1
					end
				end
			end
			if #gone > 0 and kind == 'd' then
				call('HDEL', k, unpack(gone))
				vacate(k)
			end
		end)
		if kind == 'd' then
			at = a + few
		else
			if held > 0 then
				local id, wait, keep, err = ids[1], tonumber(ARGV[at + 3]), ARGV[at + 4], ARGV[at + 5]
				local k, c = block(id)
				local q = next(ofQueue)
				local f, x, old = history(call('HGET', k, 'e' .. c))
				if err == '' then
					err = old
				end
				if kind ~= 'g' then
					f = f + 1
				end
				if f > 0 or x > 0 or err ~= '' then
					call('HSET', k, 'e' .. c, f .. ' ' .. x .. ' ' .. err)
				end
				if kind == 'a' then
					call('HSET', k, 's' .. c, 'A')
					call('ZADD', B .. 'a' .. q, keep == '' and 'inf' or now + keep, id)
					first('a', q)
				elseif wait > 0 then
					delay(q, id, now + wait)
				else
					call('HSET', k, 's' .. c, 'R' .. fmt('%d', now))
					append(q, {id}, now)
				end
			end
			at = at + 6
		end
		place = place + few
		for q, n in pairs(ofQueue) do
			count(q, -n)
		end
		if held > 0 then
			unhold(token, held)
		end
	end
	return lost, at
end

-- extend: the length of the lease, how many tokens, and they.
-- Answers the places of those that hold nothing, from 0.
local function extend(at)
	local ttl, n, lost = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), {}
	for i = 0, n - 1 do
		local token = ARGV[at + 2 + i]
		if call('HEXISTS', cc, token) == 1 then
			lease(ttl)
			call('HSET', cc, token .. 'l', ARGV[at] .. ' 0')
			call('ZADD', cz, now + ttl, token)
		else
			lost[#lost + 1] = i
		end
	end
	return lost, at + 2 + n
end
