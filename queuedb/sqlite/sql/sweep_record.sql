-- Notes a sweep.
-- ?1 now
update meta
set swept = ?1;
