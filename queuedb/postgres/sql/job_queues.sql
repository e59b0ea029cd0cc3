-- Counts jobs by queue.
-- $1 jobs
select
  queue,
  count(*)
from job
where id = any($1::bigint[])
group by queue;
