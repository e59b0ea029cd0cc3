-- Is late_put for a transaction of its own, that nothing depends on.
-- $1 jobs
with quick as materialized (
  select set_config('synchronous_commit', 'off', true) as is
)
insert into late (queue, first, last)
select
  queue,
  min(coalesce(position, id)),
  max(coalesce(position, id))
from quick
cross join job
where id = any($1::bigint[])
group by queue, (coalesce(position, id) - 1) / 1000
union all
select 0, min(release), max(release)
from quick
cross join later
where job = any($1::bigint[])
having count(*) > 0;
