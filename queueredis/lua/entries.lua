-- What list and change find.
-- ARGV  3 domain and 4 type, or ''; 5 the states that are wanted, of "rdca"; 6 'ids', and they; or 'after', an id, and how
--       many are wanted at most
local domain, typ, wanted = ARGV[3], ARGV[4], ARGV[5]
local matching = {} -- by queue: its name, or false

local function matches(q)
	local name = matching[q]
	if name == nil then
		name = nameOf(q)
		if name and (domain ~= '' or typ ~= '') then
			local n = tonumber(string.match(name, '^(%d+):'))
			local from = #tostring(n) + 2
			local d, t = sub(name, from, from + n - 1), sub(name, from + n)
			if domain ~= '' and d ~= domain or typ ~= '' and t ~= typ then
				name = false
			end
		end
		matching[q] = name
	end
	return name
end

local claimed = {} -- by token: whether its jobs are as good as ready, when it ends, and its owner

local function claimOf(token)
	local c = claimed[token]
	if not c then
		local expires = call('ZSCORE', cz, token)
		c = {lapses(call('HGET', cc, token .. 'l'), tonumber(expires)), expires, cmsgpack.unpack(call('HGET', cc, token))[1]}
		claimed[token] = c
	end
	return c
end

-- look returns the queue of a job, its state as a pop would find it, and the time that belongs to that, or false.
-- The time is '' for one that is ready since its push.
local function look(id, body, s)
	local q = fmt('%d', (struct.unpack('>I4', body)))
	if not matches(q) then
		return false
	end
	local state, at, owner = s and byte(s) or R, '', ''
	if state == R then
		state, at = 'r', s and sub(s, 2) or ''
	elseif state == D then
		at = call('ZSCORE', B .. 'd' .. q, id)
		state = tonumber(at) <= now and 'r' or 'd'
	elseif state == A then
		state, at = 'a', call('ZSCORE', B .. 'a' .. q, id)
	else
		local c = claimOf(sub(s, 2, 17))
		state, at, owner = c[1] and 'r' or 'c', c[2], c[1] and '' or c[3]
	end
	if not string.find(wanted, state, 1, true) then
		return false
	end
	return q, state, at, owner
end

-- each calls visit with what look tells of the jobs that match, until it returns false. It looks at the jobs of
-- some blocks, and returns the number to go on after, or ''.
local function each(visit)
	if ARGV[6] == 'ids' then
		for at = 7, #ARGV do
			local id = ARGV[at]
			local k, c = block(id)
			local v = call('HMGET', k, c, 's' .. c)
			if v[1] then
				local q, state, when, owner = look(id, v[1], v[2])
				if q and not visit(id, v[1], v[2], q, state, when, owner) then
					return ''
				end
			end
		end
		return ''
	end
	local after, bytes = tonumber(ARGV[7]), 0
	local from = after
	for _, p in ipairs(call('ZRANGEBYSCORE', B .. 'jz', floor(after / 16), '+inf', 'LIMIT', 0, 64)) do
		local k, digits = B .. 'j' .. p, {}
		for _, field in ipairs(call('HKEYS', k)) do
			if #field == 1 and tonumber(p .. field, 16) > after then
				digits[#digits + 1] = field
			end
		end
		table.sort(digits, function(x, y) return byte(x) < byte(y) end)
		for _, c in ipairs(digits) do
			local id, v = p .. c, call('HMGET', k, c, 's' .. c)
			local q, state, when, owner = look(id, v[1], v[2])
			bytes = bytes + #v[1]
			from = tonumber(id, 16)
			if q and not visit(id, v[1], v[2], q, state, when, owner) then
				return ''
			end
			if bytes > mostBytes then
				return fmt('%d', from)
			end
		end
		from = tonumber(p .. 'f', 16)
	end
	return from > after and fmt('%d', from) or ''
end
