-- drop ends a hold and deletes its jobs.
-- ARGV  3 the hold
if call('HEXISTS', B .. 'h', ARGV[3]) == 1 then
	over(ARGV[3], '0 0')
end
return done('OK')
