-- Returns each queue with ready jobs, and since when the first of them is ready.
with recursive filled (queue) as (
  select min(queue)
  from ready
  union all
  select (select min(queue) from ready where queue > filled.queue)
  from filled
  where filled.queue is not null
)
select
  queue,
  since
from (
  select
    queue,
    (select since from ready where ready.queue = filled.queue order by position limit 1) as since
  from filled
  where queue is not null
) as first
where since is not null;
