-- A value is its version, when it was set, when it ends or 0, and its data. vl has the keys in order, vt those that
-- end by when they do.

-- read returns key, version, age, how much longer it lives, and data, or false.
local function read(key)
	local v = call('HGET', B .. 'v', key)
	if not v then
		return false
	end
	local version, at, ends, data = string.match(v, '^(%d+) (%-?%d+) (%-?%d+) (.*)$')
	local left = ends == '0' and 0 or ends - now
	if ends ~= '0' and left <= 0 then
		return false
	end
	return {key, version, fmt('%.0f', math.max(0, now - at)), fmt('%.0f', left), data}
end
