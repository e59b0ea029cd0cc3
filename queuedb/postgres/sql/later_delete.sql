-- Takes jobs out of the delayed ones.
-- $1 jobs
delete from later
where job = any($1::bigint[]);
