-- waiting finds the next jobs of a queue that a hold may have.
-- ARGV  3 the hold; 4 name of the queue; 5 how many jobs at most
-- Returns '1' if there is such a hold or was one; and the ids and bodies of jobs.
if call('HEXISTS', B .. 'h', ARGV[3]) == 1 or ended(ARGV[3]) then
	return done({'1', {}, {}})
end
local q, most = queues({ARGV[4]})[1], tonumber(ARGV[5])
local ids, bodies, bytes = {}, {}, 0

-- add adds a job unless there are enough, and reports whether it did.
local function add(id)
	local k, c = block(id)
	local body = call('HGET', k, c)
	if #ids == most or #ids > 0 and bytes + #body > mostBytes then
		return false
	end
	ids[#ids + 1] = id
	bodies[#bodies + 1] = body
	bytes = bytes + #body
	return true
end

-- line adds the ready jobs.
local function line()
	local void, at = {}, 0
	if voids then
		local all = call('HGETALL', B .. 'x' .. q)
		for i = 1, #all, 2 do
			void[all[i]] = tonumber(all[i + 1])
		end
	end
	repeat
		local part = call('LRANGE', B .. 'r' .. q, at, at + 999)
		for _, id in ipairs(part) do
			if void[id] and void[id] > 0 then
				void[id] = void[id] - 1
			elseif not add(id) then
				return false
			end
		end
		at = at + #part
	until #part < 1000
	return true
end

sweepIfDue()
releaseAny(100)
if q and line() then
	local found = sweep()
	while found < 10000 do
		local n = release(q, 1000)
		if n == 0 then
			break
		end
		found = found + n
	end
	if found > 0 then
		ids, bodies, bytes = {}, {}, 0
	end
	if found == 0 or line() then
		for _, id in ipairs(call('ZRANGE', B .. 'd' .. q, 0, most - #ids)) do
			if not add(id) then
				break
			end
		end
	end
end
return done({'', ids, bodies})
