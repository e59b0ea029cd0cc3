-- queues returns the numbers of queues by their names, of unknown ones false.
local function queues(names)
	local found = {}
	for i = 1, #names, 1000 do
		local part = call('HMGET', B .. 'n', unpack(names, i, math.min(i + 999, #names)))
		for at = 1, #part do
			found[i + at - 1] = part[at]
		end
	end
	return found
end

-- nameOf returns the name of a queue by its number.
local function nameOf(q)
	return call('HGET', B .. 'q', q)
end
