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

-- finish deletes those jobs of a block that a token holds, and counts in held how many were in which state. Which jobs are
-- wanted is a sum: 1 for the first of the block, 2 for the second, 4 for the third. It calls missed with the ids of
-- those that the token does not hold.
local function finish(token, prefix, which, held, missed)
	local k, wanted, fields, n = B .. 'j' .. prefix, {}, {}, 0
	for d = 0, 15 do
		local bit = which % 2
		if bit == 1 then
			n = n + 1
			wanted[n], fields[n] = d, states[d]
		end
		which = (which - bit) / 2
	end
	local found, gone, m = call('HMGET', k, unpack(fields)), {}, 0
	local last, extra, plain = nil, false, true
	for i = 1, n do
		local s, d = found[i], wanted[i]
		if s ~= last and holds(token, s) then
			last, extra = s, byte(s, 18) == 49
		end
		if s == last then
			held[s] = (held[s] or 0) + 1
			gone[m + 1], gone[m + 2] = digits[d], states[d]
			m = m + 2
			if extra then
				gone[m + 1], gone[m + 2] = 'e' .. digits[d], 't' .. digits[d]
				m, plain = m + 2, false
			end
		else
			missed(prefix .. digits[d])
		end
	end
	if m == 0 then
		return
	end
	local all = call('HLEN', k)
	if plain and all == m then
		call('UNLINK', k)
	elseif call('HDEL', k, unpack(gone)) < all then
		return
	end
	vacated[#vacated + 1] = prefix
end

-- back settles a job that is in state s and is to stay.
local function back(kind, id, s, wait, keep, err)
	local k, c = block(id)
	local q = sub(s, 19)
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

-- settle: how many runs, and of each the token and 'd', of how many blocks, and of each block what its ids begin with and
-- which jobs of it are done; or 'r', 'g' or 'a', for retry, give back or abandon, id, delay, how long to keep it or '', and
-- the error or ''. Answers token and id of those that were lost.
local function settle(at)
	local lost, settled, token = {}, {}, nil
	local function missed(id)
		settled[token] = settled[token] or settledBy(token)
		if not settled[token][id] then
			lost[#lost + 1] = token
			lost[#lost + 1] = id
		end
	end
	local n = tonumber(ARGV[at])
	at = at + 1
	for _ = 1, n do
		local kind, held = ARGV[at + 1], {} -- how many jobs by their state, which many have in common
		token = ARGV[at]
		if kind == 'd' then
			local last = at + 1 + 2 * tonumber(ARGV[at + 2])
			for a = at + 3, last, 2 do
				finish(token, ARGV[a], tonumber(ARGV[a + 1]), held, missed)
			end
			at = last + 2
		else
			local id = ARGV[at + 2]
			local k, c = block(id)
			local s = call('HGET', k, 's' .. c)
			if holds(token, s) then
				held[s] = 1
				back(kind, id, s, tonumber(ARGV[at + 3]), ARGV[at + 4], ARGV[at + 5])
			else
				missed(id)
			end
			at = at + 6
		end
		local all = 0
		for s, few in pairs(held) do
			count(sub(s, 19), -few)
			all = all + few
		end
		if all > 0 then
			unhold(token, all)
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
