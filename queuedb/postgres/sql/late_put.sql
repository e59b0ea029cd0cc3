-- Notes that jobs may become ready behind others that have been claimed.
-- $1 jobs
insert into late (queue, first, last)
select
  queue,
  min(coalesce(position, id)),
  max(coalesce(position, id))
from job
where id = any($1::bigint[])
group by queue, (coalesce(position, id) - 1) / 1000;
