-- ready tells which queues have work.
-- ARGV  3 'all', '' or a score to go on from, and how many queues of that score were told; or 'names', and they
-- Returns name and age of each, and score and number to go on with or ''.
sweepIfDue()
releaseAny(1000)
local ended, found = lapsing(), {}

local function tell(name, at)
	found[#found + 1] = name
	found[#found + 1] = fmt('%.0f', math.max(0, now - at))
end

-- work returns since when a queue has had work, or false.
local function work(q)
	local at = call('ZSCORE', B .. 'rz', q)
	at = at and tonumber(at)
	local due = call('ZSCORE', B .. 'dz', q)
	if due and tonumber(due) <= now then
		at = math.min(at or now, tonumber(due))
	end
	if ended[q] then
		at = math.min(at or now, ended[q][2])
	end
	return at
end

if ARGV[3] == 'names' then
	local names = {}
	for at = 4, #ARGV do
		names[#names + 1] = ARGV[at]
	end
	for i, q in ipairs(queues(names)) do
		local at = q and work(q)
		if at then
			tell(names[i], at)
		end
	end
	return done({found, '', '0'})
end

local from, skip, told = ARGV[4], tonumber(ARGV[5]), {}
if from == '' then
	from = '-inf'
	-- Those without a ready job come first: the jobs of few claims, and more that are due than were released.
	local others = call('ZRANGEBYSCORE', B .. 'dz', '-inf', now, 'LIMIT', 0, 1000)
	for q in pairs(ended) do
		others[#others + 1] = q
	end
	for _, q in ipairs(others) do
		if not told[q] and not call('ZSCORE', B .. 'rz', q) then
			told[q] = true
			tell(nameOf(q), work(q))
		end
	end
end
local page = call('ZRANGEBYSCORE', B .. 'rz', from, '+inf', 'WITHSCORES', 'LIMIT', skip, 1000)
local qs = {}
for i = 1, #page, 2 do
	qs[#qs + 1] = page[i]
	if page[i + 1] == from then
		skip = skip + 1
	else
		from, skip = page[i + 1], 1
	end
end
if #qs > 0 then
	for i, name in ipairs(call('HMGET', B .. 'q', unpack(qs))) do
		local l = ended[qs[i]]
		tell(name, math.min(tonumber(page[2 * i]), l and l[2] or now))
	end
end
if #qs < 1000 then
	from = ''
end
return done({found, from, fmt('%.0f', skip)})
