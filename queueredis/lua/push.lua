-- push stores the jobs of one or more pushes, each of them unless it was stored before.
-- It alone does not run when the server is full: what it needs room for may be refused.
-- ARGV  3 how many names, and they; then how many pushes, and of each its id, how many jobs, the least number for
--       a job, and in runs, with the place of the first one in the push,
--       'p', place, which name, how many, and the jobs, which have nothing else to them; or
--       's', place, which name, digest or '', when to release, key and time of the root or '', '', and one job.
--       Release is '' for now, '+' and a delay, '=' and a time.
-- Returns of each push the number that the places are added to for the ids, and of the duplicates place and id.
local names, at = {}, 4
for i = 1, tonumber(ARGV[3]) do
	names[i] = ARGV[at]
	at = at + 1
end
local numberOf, heads = queues(names), {}
for i, name in ipairs(names) do
	local q = numberOf[i]
	if not q then
		lastQueue = lastQueue + 1
		q = fmt('%d', lastQueue)
		numberOf[i] = q
		call('HSET', B .. 'n', name, q)
		call('HSET', B .. 'q', q, name)
		note('queue', lastQueue)
	end
	heads[i] = struct.pack('>I4I8', tonumber(q), now)
end

-- What is stored goes in as few commands as there are blocks and queues.
local puts, ready, delayed, digests, order, firstPut = {}, {}, {}, {}, {}, lastID
local function flush()
	local blocks = {}
	for k, args in pairs(puts) do
		call('HSET', k, unpack(args))
		local n = sub(k, #B + 2)
		blocks[#blocks + 1] = tonumber(n, 16)
		blocks[#blocks + 1] = n
	end
	spread('ZADD', B .. 'jz', blocks)
	for _, q in ipairs(order) do
		if ready[q] then
			append(q, ready[q], now)
			ready[q] = nil
		end
		if delayed[q] then
			spread('ZADD', B .. 'd' .. q, delayed[q])
			first('d', q)
			delayed[q] = nil
		end
		if digests[q] then
			spread('HSET', B .. 'u' .. q, digests[q])
			digests[q] = nil
		end
	end
	puts, order, firstPut = {}, {}, lastID
end

local function put(id, kind, value)
	local k, c = block(id)
	local p = puts[k]
	if not p then
		p = {}
		puts[k] = p
	end
	p[#p + 1] = kind .. c
	p[#p + 1] = value
end

local function listOf(lists, q)
	local l = lists[q]
	if not l then
		l = {}
		lists[q] = l
		order[#order + 1] = q
	end
	return l
end

-- releaseTime returns when a job is to be ready, which is now or later.
local function releaseTime(r)
	if r == '' then
		return now
	elseif byte(r) == 43 then
		return now + tonumber(sub(r, 2))
	end
	return math.max(now, tonumber(sub(r, 2)))
end

-- takeOver lets a waiting job stand for one that is dropped as its duplicate.
local function takeOver(id, i, at, key, time)
	if tonumber(id, 16) > firstPut then
		flush()
	end
	local k, c = block(id)
	local q = numberOf[i]
	local state = call('HMGET', k, 's' .. c, 't' .. c)
	if state[1] == 'D' and at < tonumber(call('ZSCORE', B .. 'd' .. q, id)) then
		if at > now then
			call('ZADD', B .. 'd' .. q, at, id)
		else
			call('ZREM', B .. 'd' .. q, id)
			call('HSET', k, 's' .. c, 'R' .. fmt('%d', now))
			local line = listOf(ready, q)
			line[#line + 1] = id
		end
		first('d', q)
	end
	local root = state[2]
	if not root then
		return -- Without a root it is never superseded, so it does everybody's work.
	elseif sub(root, 19) ~= key then
		-- Superseded by either root's successor, it would leave the other's work undone.
		call('HDEL', k, 't' .. c)
	elseif time > sub(root, 1, 18) then
		call('HSET', k, 't' .. c, time .. key)
		mark(markOf(names[i], key), time)
	end
end

local answers, pushes = {}, tonumber(ARGV[at])
at = at + 1

-- lookAhead finds the waiting jobs that have the digest of any that is pushed, by queue and digest.
local waiting = {}
local function lookAhead(at)
	local asked = {}
	for _ = 1, pushes do
		local left = tonumber(ARGV[at + 1])
		at = at + 3
		while left > 0 do
			if ARGV[at] == 'p' then
				local n = tonumber(ARGV[at + 3])
				at, left = at + 4 + n, left - n
			else
				if ARGV[at + 3] ~= '' then
					local q = numberOf[tonumber(ARGV[at + 2])]
					if not asked[q] then
						asked[q], waiting[q] = {}, {}
					end
					table.insert(asked[q], ARGV[at + 3])
				end
				at, left = at + 8, left - 1
			end
		end
	end
	for q, all in pairs(asked) do
		for i = 1, #all, 1000 do
			local last = math.min(i + 999, #all)
			for k, id in ipairs(call('HMGET', B .. 'u' .. q, unpack(all, i, last))) do
				if id then
					waiting[q][all[i + k - 1]] = id
				end
			end
		end
	end
end
lookAhead(at)

for push = 1, pushes do
	local token, left, base = ARGV[at], tonumber(ARGV[at + 1]), fresh(lastID, tonumber(ARGV[at + 2]))
	at = at + 3
	local known = recall('p', token)
	local twins = {}
	local zero = {} -- what a root without a time gets, by its mark
	while left > 0 do
		local place, i = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
		local q, head = numberOf[i], heads[i]
		if ARGV[at] == 'p' then
			local n = tonumber(ARGV[at + 3])
			if not known then
				local line = listOf(ready, q)
				for a = 0, n - 1 do
					local id = fmt('%x', base + place + a)
					put(id, '', head .. ARGV[at + 4 + a])
					line[#line + 1] = id
				end
				lastID = base + place + n - 1
			end
			at, left = at + 4 + n, left - n
		else
			if not known then
				local digest, release, key, time = ARGV[at + 3], releaseTime(ARGV[at + 4]), ARGV[at + 5], ARGV[at + 6]
				local field = key ~= '' and markOf(names[i], key)
				if field and time == '' then
					zero[field] = zero[field] or following(field)
					time = zero[field]
				end
				local twin = digest ~= '' and waiting[q][digest]
				if twin then
					takeOver(twin, i, release, key, time)
					twins[#twins + 1] = ARGV[at + 1] .. ':' .. twin
				else
					local id = fmt('%x', base + place)
					lastID = base + place
					put(id, '', head .. ARGV[at + 7])
					if digest ~= '' then
						waiting[q][digest] = id
						local d = listOf(digests, q)
						d[#d + 1] = digest
						d[#d + 1] = id
					end
					if field then
						put(id, 't', time .. key)
						mark(field, time)
					end
					if release > now then
						local z = listOf(delayed, q)
						z[#z + 1] = release
						z[#z + 1] = id
						put(id, 's', 'D')
					else
						local line = listOf(ready, q)
						line[#line + 1] = id
					end
				end
			end
			at, left = at + 8, left - 1
		end
	end
	if not known then
		known = fmt('%x', base) .. ' ' .. table.concat(twins, ' ')
		remember('p', token, known)
	end
	answers[push] = known
end
flush()
note('id', lastID)
return done(answers)
