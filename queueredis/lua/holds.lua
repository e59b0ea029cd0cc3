-- holds tells which holds there are.
-- Returns of each its id, label, name of the queue, when it was made, and how many jobs it has.
local found, all = {}, call('HGETALL', B .. 'h')
for i = 1, #all, 2 do
	local r = cmsgpack.unpack(all[i + 1])
	for _, x in ipairs({all[i], r[1], r[2], r[3], fmt('%d', r[4])}) do
		found[#found + 1] = x
	end
end
return found
