-- Takes jobs out of the abandoned ones.
-- $1 jobs
delete from abandoned
where job = any($1::bigint[]);
