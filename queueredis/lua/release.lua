-- release ends a hold and puts its jobs into their queue. It is refused when the server is full.
-- ARGV  3 the hold; 4 the least number for a job
-- Returns how many jobs were stored and dropped, now or then, with a blank in between, and the last id.
local hold = ARGV[3]
local record = call('HGET', B .. 'h', hold)
if not record then
	return done({ended(hold) or '0 0', '0'})
end
local name = cmsgpack.unpack(record)[2]
local q, base, stored, dropped = numbered({name})[1], fresh(lastID, tonumber(ARGV[4])), 0, 0
local head, jobs, asked = struct.pack('>I4', tonumber(q)), heldIn(hold), {}
for _, job in ipairs(jobs) do
	job[5] = job[5] == '1' and sub(job[1], 14, 29) or ''
	if job[5] ~= '' then
		asked[#asked + 1] = job[5]
	end
end
lookUp({[q] = asked})
for i, job in ipairs(jobs) do
	local due = job[4] == '' and now or math.max(now, tonumber(job[4]))
	if add(fmt('%x', base + i - 1), q, name, head .. sub(job[1], 5), job[5], due, sub(job[3], 19), sub(job[3], 1, 18), job[2]) then
		dropped = dropped + 1
	else
		stored = stored + 1
		lastID = base + i - 1
	end
end
flush()
note('id', lastID)
local what = stored .. ' ' .. dropped
over(hold, what)
return done({what, fmt('%x', lastID)})
