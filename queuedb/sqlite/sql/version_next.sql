-- Returns a version that no value had.
update meta
set version = version + 1
returning version;
