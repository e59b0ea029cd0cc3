-- Makes new jobs ready.
-- $1 jobs
insert into ready (queue, position, job, since)
select queue, id, id, pushed
from job
where id = any($1::bigint[]);
