-- tell tells which jobs are in a hold.
-- ARGV  3 the hold
-- Returns of each job body, history or '', root or '', how much longer it waits or '', and whether it has its digest, '1' or ''.
return tell(ARGV[3])
