-- keep makes a hold of jobs from elsewhere, unless there is such a hold or was one. It is refused when the server is full.
-- ARGV  3 the hold; 4 its label; 5 name of its queue; 6 and so on: of each job when it was pushed, its body without
--       head, history or '', root or '', when it is to be ready, '' for at once, '+' and a delay or '=' and a time, and
--       whether it has its digest, '1' or ''
local hold = ARGV[3]
if call('HEXISTS', B .. 'h', hold) == 1 or ended(hold) then
	return done('OK')
end
local jobs = {}
for at = 6, #ARGV, 6 do
	local due = ARGV[at + 4]
	if due ~= '' then
		due = fmt('%.0f', (byte(due) == 43 and now or 0) + tonumber(sub(due, 2)))
	end
	jobs[#jobs + 1] = {struct.pack('>I4I8', 0, tonumber(ARGV[at])) .. ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], due, ARGV[at + 5]}
end
keep(hold, ARGV[4], ARGV[5], jobs)
return done('OK')
