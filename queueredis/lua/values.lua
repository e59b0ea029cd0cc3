-- values reads values in the order of their keys, a hundred at a time.
-- ARGV  3 what their keys begin with; 4 the key to go on after or ''
-- Returns key, version, age, how much longer it lives or 0, and data of each; and '1' if there may be more.
local from = '[' .. ARGV[3]
if ARGV[4] ~= '' then
	from = '(' .. ARGV[4]
end
local keys, found = call('ZRANGEBYLEX', B .. 'vl', from, '(' .. ARGV[3] .. '\255', 'LIMIT', 0, 100), {}
for _, key in ipairs(keys) do
	local v = read(key)
	if v then
		for i = 1, 5 do
			found[#found + 1] = v[i]
		end
	end
end
return {found, #keys == 100 and keys[100] or ''}
