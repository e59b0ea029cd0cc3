-- Is ready_queues, but looks at queues that have been claimed from only behind the position that is known.
with recursive known as materialized (
  select
    queue,
    position,
    lead(queue, 1, 9223372036854775807) over (order by queue) as next
  from reached
), filled (queue, next) as (
  select
    (select min(r.queue) from ready r where r.queue > g.queue and r.queue < g.next),
    g.next
  from (
    select 0 as queue, coalesce(min(queue), 9223372036854775807) as next
    from known
    union all
    select queue, next
    from known
  ) as g
  where g.next > g.queue + 1
  union all
  select
    (select min(r.queue) from ready r where r.queue > f.queue and r.queue < f.next),
    f.next
  from filled f
  where f.queue is not null
)
select
  queue,
  since
from (
  select
    queue,
    (select since from ready where ready.queue = known.queue and ready.position > known.position order by ready.position limit 1) as since
  from known
  union all
  select
    queue,
    (select since from ready where ready.queue = filled.queue order by position limit 1)
  from filled
  where queue is not null
) as first
where since is not null;
