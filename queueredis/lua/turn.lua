-- turn settles, extends and pops, any number of each one after the other, in one call.
-- ARGV  3 how many orders, and of each its letter and what its function says: s settle, e extend, p pop, w glance.
-- Returns the answers in the same order.

-- glance sweeps if the last sweep is old.
local function glance(at)
	sweepIfDue()
	return 0, at
end

local orders, answers, at = {s = settle, e = extend, p = pop, w = glance}, {}, 4
for i = 1, tonumber(ARGV[3]) do
	answers[i], at = orders[ARGV[at]](at + 1)
end
return done(answers)
