-- Times of roots are 18 digits, seconds since the year 1 and microseconds, which compare as they stand: a number
-- of Lua would lose some of them.

-- stamp returns a time in microseconds since 1970 so.
local function stamp(at)
	local s = floor(at / 1000000)
	return fmt('%012.0f%06.0f', s + 62135596800, at - s * 1000000)
end

-- later returns the time a microsecond later.
local function later(t)
	local s, us = tonumber(sub(t, 1, 12)), tonumber(sub(t, 13)) + 1
	if us == 1000000 then
		s, us = s + 1, 0
	end
	return fmt('%012.0f%06.0f', s, us)
end

-- markOf returns where the mark of a root key of a queue is kept.
local function markOf(name, key)
	return #name .. ':' .. name .. key
end

local marks = {} -- that were looked at; many jobs have the same root

-- standing returns where a root mark stands, or false.
local function standing(field)
	local at = marks[field]
	if at == nil then
		at = recall('m', field)
		marks[field] = at
	end
	return at
end

-- following returns the time of a root that is newer than a mark: the clock's, or one just ahead of the mark.
local function following(field)
	local t, m = stamp(now), standing(field)
	return m and m >= t and later(m) or t
end

-- mark moves a root mark forward and returns where it stands, or false.
local function mark(field, t)
	local at = standing(field)
	if t ~= '' and (not at or t > at) then
		remember('m', field, t)
		marks[field] = t
		return t
	end
	return at
end
