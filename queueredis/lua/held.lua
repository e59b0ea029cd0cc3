-- Holds. h has of each hold its record: label, name of the queue, when it was made and how many jobs it has. h and
-- its id has the jobs by their places, from 1: each is its body, history or '', root or '', when it is to be ready
-- or '', and whether it has its digest, '1' or ''. Holds that have ended are remembered ('o') with
-- how many jobs were stored and dropped.

-- ended reports whether a hold has ended.
local function ended(hold)
	return recall('o', hold)
end

-- heldIn returns the jobs of a hold, none if there is no such hold.
local function heldIn(hold)
	local record, found = call('HGET', B .. 'h', hold), {}
	if record then
		for i = 1, cmsgpack.unpack(record)[4] do
			found[i] = cmsgpack.unpack(call('HGET', B .. 'h' .. hold, i))
		end
	end
	return found
end

-- tell returns the jobs of a hold as they were stored, but for how much longer they wait.
local function tell(hold)
	local found = {}
	for _, job in ipairs(heldIn(hold)) do
		if job[4] ~= '' then
			job[4] = fmt('%.0f', math.max(0, job[4] - now))
		end
		for i = 1, 5 do
			found[#found + 1] = job[i]
		end
	end
	return found
end

-- keep makes a hold of jobs.
local function keep(hold, label, name, jobs)
	local args = {}
	for i, job in ipairs(jobs) do
		args[#args + 1] = i
		args[#args + 1] = cmsgpack.pack(job)
	end
	spread('HSET', B .. 'h' .. hold, args)
	call('HSET', B .. 'h', hold, cmsgpack.pack({label, name, fmt('%.0f', now), #jobs}))
end

-- over ends a hold.
local function over(hold, what)
	call('UNLINK', B .. 'h' .. hold)
	call('HDEL', B .. 'h', hold)
	remember('o', hold, what)
end
