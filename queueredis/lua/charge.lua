-- charge books work under keys. b has until when each is booked.
-- ARGV  3 the longest wait; then key and length of each
-- Returns how long until each may start.
local waits = {}
for at = 4, #ARGV, 2 do
	local start = math.max(now, tonumber(call('ZSCORE', B .. 'b', ARGV[at]) or 0))
	if start - now < tonumber(ARGV[3]) then
		call('ZADD', B .. 'b', fmt('%.3f', start + ARGV[at + 1]), ARGV[at])
	end
	waits[#waits + 1] = fmt('%.3f', start - now)
end
return done(waits)
