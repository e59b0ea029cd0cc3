-- Storing jobs.

-- numbered returns the numbers of queues by their names, and gives one to those that have none.
local function numbered(names)
	local found = queues(names)
	for i, name in ipairs(names) do
		if not found[i] then
			lastQueue = lastQueue + 1
			found[i] = fmt('%d', lastQueue)
			call('HSET', B .. 'n', name, found[i])
			call('HSET', B .. 'q', found[i], name)
			note('queue', lastQueue)
		end
	end
	return found
end

-- releaseTime returns when a job is to be ready, by '' for now, '+' and a delay, or '=' and a time.
local function releaseTime(r)
	if r == '' then
		return now
	elseif byte(r) == 43 then
		return now + tonumber(sub(r, 2))
	end
	return math.max(now, tonumber(sub(r, 2)))
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

-- argsOf returns what goes into a block.
local function argsOf(k)
	local p = puts[k]
	if not p then
		p = {}
		puts[k] = p
	end
	return p
end

local function put(id, kind, value)
	local k, c = block(id)
	local p = argsOf(k)
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

-- putAll stores n jobs with the numbers from from on, which are ready and have nothing but their bodies, from ARGV[at] on.
local function putAll(q, from, n, head, at)
	local line = listOf(ready, q)
	local l, last = #line, from + n - 1
	while from <= last do
		local d, prefix = from % 16, sub(fmt('%x', from), 1, -2)
		local p = argsOf(B .. 'j' .. prefix)
		local few, m = math.min(15 - d, last - from), #p
		for i = 0, few do
			local c = digits[d + i]
			p[m + 1] = c
			p[m + 2] = head .. ARGV[at + i]
			line[l + i + 1] = prefix .. c
			m = m + 2
		end
		from, at, l = from + few + 1, at + few + 1, l + few + 1
	end
end

-- takeOver lets a waiting job of a queue stand for one that is dropped as its duplicate.
local function takeOver(id, q, name, at, key, time)
	if tonumber(id, 16) > firstPut then
		flush()
	end
	local k, c = block(id)
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
		mark(markOf(name, key), time)
	end
end

local waiting = {} -- jobs by queue and digest, of the digests that were looked up

-- lookUp finds the jobs that wait with digests, of which there are some for each queue.
local function lookUp(asked)
	for q, all in pairs(asked) do
		waiting[q] = waiting[q] or {}
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

-- add stores a job, whose body has its head, or drops it and returns the one that stays. Its digest, if it
-- has one, was looked up; it has a root if there is a key.
local function add(id, q, name, body, digest, release, key, time, history)
	local twin = digest ~= '' and waiting[q][digest]
	if twin then
		takeOver(twin, q, name, release, key, time)
		return twin
	end
	put(id, '', body)
	if digest ~= '' then
		waiting[q][digest] = id
		local d = listOf(digests, q)
		d[#d + 1] = digest
		d[#d + 1] = id
	end
	if key ~= '' then
		put(id, 't', time .. key)
		mark(markOf(name, key), time)
	end
	if history ~= '' then
		put(id, 'e', history)
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
