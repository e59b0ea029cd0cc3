-- Deletes jobs that are abandoned.
-- $1 jobs
delete from abandoned
where job = any($1::bigint[]);
