-- Notes a sweep.
-- $1 now
update sweep
set swept = $1;
