-- Returns each queue with delayed jobs that are due, and since when, looking once at every queue with delayed jobs.
-- $1 now
with recursive filled (queue) as (
  select min(queue)
  from later
  union all
  select (select min(queue) from later where queue > filled.queue)
  from filled
  where filled.queue is not null
)
select
  queue,
  release
from (
  select
    queue,
    (select min(release) from later where later.queue = filled.queue and release <= $1) as release
  from filled
  where queue is not null
) as due
where release is not null;
