-- Notes a sweep, unless another one is under way.
-- $1 now
update sweep
set swept = $1
where ctid = any(array(select ctid from sweep for update skip locked));
