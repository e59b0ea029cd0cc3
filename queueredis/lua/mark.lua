-- mark moves root marks forward.
-- ARGV  3 and so on: name, key and time of each, the time '' to read it, '+' for what the next would be
-- Returns where each stands, '' if nowhere.
local times = {}
for at = 3, #ARGV, 3 do
	local m = ''
	if ARGV[at + 2] == '+' then
		m = following(markOf(ARGV[at], ARGV[at + 1]))
	elseif ARGV[at + 1] ~= '' then
		m = mark(markOf(ARGV[at], ARGV[at + 1]), ARGV[at + 2]) or ''
	end
	times[#times + 1] = m
end
return done(times)
