-- Deletes jobs.
-- $1 jobs
delete from job
where id = any($1::bigint[]);
