-- The order of turn to pop.

-- grab claims jobs that are in no list any more for a want. A batch has room for so many jobs and bytes yet.
local function grab(batch, want, ids)
	local q = want.q
	local plain, other = 'C' .. batch.token .. '0' .. q, 'C' .. batch.token .. '1' .. q
	local gotIDs, gotNumbers, gotBodies = want.ids, want.numbers, want.bodies
	local n, bytes = #gotIDs, 0
	runs(ids, function(k, i, j, numbers)
		local fields, found = {}, 0
		for at = i, j do
			fields[at - i + 1] = digits[numbers[at] % 16]
		end
		local bodies, histories = call('HMGET', k, unpack(fields)), nil
		for at = 1, #fields do
			if bodies[at] then
				found = found + 1
			end
		end
		if call('HLEN', k) > found then -- else there are bodies alone
			for at = 1, #fields do
				fields[at] = 'e' .. fields[at]
			end
			histories = call('HMGET', k, unpack(fields))
		end
		local set, m, digests, owners, before = {}, 0, {}, {}, n
		for at = i, j do
			local body = bodies[at - i + 1]
			if body then
				local number, flags, state = numbers[at], byte(body, 13), plain
				n, m, bytes = n + 1, m + 2, bytes + #body
				gotIDs[n], gotNumbers[n], gotBodies[n] = ids[at], number, body
				if flags % 2 == 1 then
					digests[#digests + 1] = sub(body, 14, 29)
					owners[#digests] = ids[at]
				end
				if histories then
					local e = histories[at - i + 1]
					local root = flags % 4 > 1 and call('HGET', k, 't' .. digits[number % 16])
					if e or root then
						want.extras[n] = {e, root}
						state = other
					end
				end
				set[m - 1], set[m] = states[number % 16], state
			end
		end
		batch.room = batch.room - (n - before)
		if m > 0 then
			call('HSET', k, unpack(set))
		end
		if #digests > 0 then
			local gone = {}
			for at, id in ipairs(call('HMGET', B .. 'u' .. q, unpack(digests))) do
				if id == owners[at] then
					gone[#gone + 1] = digests[at]
				end
			end
			if #gone > 0 then
				call('HDEL', B .. 'u' .. q, unpack(gone))
			end
		end
	end)
	batch.bytes = batch.bytes - bytes
end

-- shift takes the next n jobs of a queue out of its list.
local function shift(q, n)
	local ids = call('LPOP', B .. 'r' .. q, n) or {}
	if voids and #ids > 0 and call('HEXISTS', B .. 'x', q) == 1 then
		local live = {}
		for _, id in ipairs(ids) do
			if not void(q, id) then
				live[#live + 1] = id
			end
		end
		return live, #ids > 0
	end
	return ids, #ids > 0
end

-- waiting takes one job of a queue that is ready or delayed out of its place.
local function waiting(q, id)
	local k, c = block(id)
	local values = call('HMGET', k, c, 's' .. c)
	local body, s = values[1], values[2]
	if not body or struct.unpack('>I4', body) ~= tonumber(q) then
		return false
	end
	local state = s and byte(s) or R
	if state == R then
		leave(q, id)
	elseif state == D then
		call('ZREM', B .. 'd' .. q, id)
		first('d', q)
	else
		return false
	end
	return true
end

-- look finds out which of many wanted queues have a ready job.
local function look(wants)
	local qs, of = {}, {}
	for _, w in ipairs(wants) do
		w.ready = w.q
		if w.q and w.id == '' and #wants > 4 then
			qs[#qs + 1] = w.q
			of[#of + 1] = w
		end
	end
	if #qs > 0 then
		for i, since in ipairs(call('ZMSCORE', B .. 'rz', unpack(qs))) do
			of[i].ready = since
		end
	end
end

-- fill claims jobs until each want is met, its queue is empty or there is no more room, and reports whether a
-- want is short. Jobs wanted by id go first, as another want of their queue could do with any other.
local function fill(batch, wants)
	local short = false
	look(wants)
	for _, w in ipairs(wants) do
		if w.id ~= '' then
			if w.q and #w.ids == 0 and batch.room > 0 and waiting(w.q, w.id) then
				grab(batch, w, {w.id})
				w.taken = true
			end
			short = short or #w.ids == 0
		end
	end
	for _, w in ipairs(wants) do
		if w.id == '' then
			local found = w.ready
			-- How large the jobs are is known when some have been read.
			local few = 16
			while found and #w.ids < w.max and batch.room > 0 and batch.bytes > 0 do
				local ids
				ids, found = shift(w.q, math.min(w.max - #w.ids, batch.room, few))
				grab(batch, w, ids)
				w.taken = true
				few = math.max(1, floor(batch.bytes / ((mostBytes - batch.bytes) / (1001 - batch.room) + 1)))
			end
			short = short or #w.ids < w.max
		end
	end
	return short
end

-- What a pop answers: microseconds until the lease ends; '' or where the pop goes on; names of queues, each with how
-- many of the jobs are of it; their ids, with blanks between; their bodies; of some of them place, history, root and whether it is superseded; and 1 if it was repeated.

local function superseded(name, root)
	local m = root and standing(markOf(name, sub(root, 19)))
	return m and m > sub(root, 1, 18) and '1' or ''
end

-- again answers what a token still holds, from a place among its jobs on.
local function again(token, from)
	local record = call('HGET', cc, token)
	if not record then
		return {'0', '', {}, '', {}, {}, 1}
	end
	local all = members(cmsgpack.unpack(record))
	local names, ids, bodies, extras, bytes = {}, {}, {}, {}, mostBytes
	while from < #all and #ids < 500 and bytes > 0 do
		from = from + 1
		local id = all[from]
		local k, c = block(id)
		local v = call('HMGET', k, c, 's' .. c, 'e' .. c, 't' .. c)
		if v[1] and holds(token, v[2]) then
			local name = nameOf(sub(v[2], 19))
			if names[#names - 1] == name then
				names[#names] = names[#names] + 1
			else
				names[#names + 1] = name
				names[#names + 1] = 1
			end
			ids[#ids + 1] = id
			bodies[#bodies + 1] = v[1]
			bytes = bytes - #v[1]
			if v[3] or v[4] then
				for _, x in ipairs({#ids, v[3] or '', v[4] or '', superseded(name, v[4])}) do
					extras[#extras + 1] = x
				end
			end
		end
	end
	local left = fmt('%.0f', call('ZSCORE', cz, token) - now)
	return {left, from < #all and fmt('%.0f', from) or '', names, table.concat(ids, ' '), bodies, extras, 1}
end

-- claim records what a batch holds, after what the token held before, and returns how long that lasts.
local function claim(token, ttl, owner, numbers, record, open)
	local last, deltas, left = 0, record[2], ttl
	for _, d in ipairs(deltas) do
		last = last + d
	end
	if open then
		left = fmt('%.0f', call('ZSCORE', cz, token) - now)
	else
		record[1] = owner
		lease(tonumber(ttl))
		call('HSET', cc, token .. 'l', ttl .. ' 0')
		call('ZADD', cz, now + ttl, token)
	end
	local n = #deltas
	for i, number in ipairs(numbers) do
		deltas[n + i] = number - last
		last = number
	end
	call('HSET', cc, token, cmsgpack.pack(record))
	call('HINCRBY', cc, token .. 'h', #numbers)
	return left
end

-- pop: token, length of the lease, owner, where it goes on, how many wants, and of each the name, how many
-- jobs, and the id of the one or ''. It goes on after '+' and so many jobs that the token was given before, or, if
-- that is repeated, at a place among these.
local function pop(at)
	local token, ttl, owner, part, n = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4])
	at = at + 5
	local names, wants = {}, {}
	for i = 1, n do
		names[i] = ARGV[at]
		wants[i] = {name = ARGV[at], max = tonumber(ARGV[at + 1]), id = ARGV[at + 2], ids = {}, numbers = {}, bodies = {}, extras = {}}
		at = at + 3
	end
	local open, before = call('HGET', cc, token), byte(part) == 43 and tonumber(sub(part, 2))
	local record = open or recall('e', token)
	record = record and cmsgpack.unpack(record) or {owner, {}, {}}
	-- More than that was given to the same call, sent twice; and nothing is added to what has ended.
	if before ~= #record[2] or #record[3] > 0 or open and tonumber(call('ZSCORE', cz, token)) <= now then
		return again(token, before or tonumber(part)), at
	end
	sweepIfDue()
	releaseAny(100)
	for i, q in ipairs(queues(names)) do
		wants[i].q = q
	end
	local batch = {token = token, room = 1000, bytes = mostBytes}
	if fill(batch, wants) then
		local found = sweep()
		if #call('ZRANGEBYSCORE', B .. 'dz', '-inf', now, 'LIMIT', 0, 1) > 0 then
			for _, w in ipairs(wants) do
				if w.q and found < 2000 then
					found = found + release(w.q, 1000)
				end
			end
		end
		if found > 0 then
			fill(batch, wants)
		end
	end
	local ids, numbers, bodies, extras, many, n = {}, {}, {}, {}, {}, 0
	for _, w in ipairs(wants) do
		for i, e in pairs(w.extras) do
			for _, x in ipairs({n + i, e[1] or '', e[2] or '', superseded(w.name, e[2])}) do
				extras[#extras + 1] = x
			end
		end
		for i = 1, #w.ids do
			n = n + 1
			ids[n], numbers[n], bodies[n] = w.ids[i], w.numbers[i], w.bodies[i]
		end
		many[#many + 1] = w.name
		many[#many + 1] = #w.ids
		if #w.ids > 0 then
			count(w.q, #w.ids)
		end
		if w.taken then
			front(w.q)
		end
	end
	local left = n > 0 and claim(token, ttl, owner, numbers, record, open) or ttl
	return {left, (batch.room <= 0 or batch.bytes <= 0) and 'more' or '', many, table.concat(ids, ' '), bodies, extras, 0}, at
end
