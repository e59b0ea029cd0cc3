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
local numberOf, heads = numbered(names), {}
for i = 1, #names do
	heads[i] = struct.pack('>I4I8', tonumber(numberOf[i]), now)
end

local answers, pushes = {}, tonumber(ARGV[at])
at = at + 1

-- lookAhead finds the waiting jobs that have the digest of any that is pushed.
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
					asked[q] = asked[q] or {}
					table.insert(asked[q], ARGV[at + 3])
				end
				at, left = at + 8, left - 1
			end
		end
	end
	lookUp(asked)
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
				putAll(q, base + place, n, head, at + 4)
				lastID = base + place + n - 1
			end
			at, left = at + 4 + n, left - n
		else
			if not known then
				local key, time = ARGV[at + 5], ARGV[at + 6]
				if key ~= '' and time == '' then
					local field = markOf(names[i], key)
					if not zero[field] then
						local t, m = stamp(now), standing(field)
						zero[field] = m and m >= t and later(m) or t
					end
					time = zero[field]
				end
				local twin = add(fmt('%x', base + place), q, names[i], head .. ARGV[at + 7], ARGV[at + 3],
					releaseTime(ARGV[at + 4]), key, time, '')
				if twin then
					twins[#twins + 1] = ARGV[at + 1] .. ':' .. twin
				else
					lastID = base + place
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
