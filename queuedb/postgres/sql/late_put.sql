-- Notes that jobs may become ready behind others that have been claimed, and with queue 0 when delayed jobs among them do, of which
-- later ones may have been made ready.
-- $1 jobs
insert into late (queue, first, last)
select
  queue,
  min(coalesce(position, id)),
  max(coalesce(position, id))
from job
where id = any($1::bigint[])
group by queue, (coalesce(position, id) - 1) / 1000
union all
select 0, min(release), max(release)
from later
where job = any($1::bigint[])
having count(*) > 0;
