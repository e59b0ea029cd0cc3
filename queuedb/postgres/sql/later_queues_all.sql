-- Returns each queue with delayed jobs that are due, and since when, looking once at every queue with delayed jobs.
-- $1 now, $2 from which time on, or less than 0 for the one that is known
with recursive clock as materialized (
  select case when $1 < s.start then 0 else s.start end as start
  from (select case when $2::bigint < 0 then coalesce((select position from reached where queue = 0), 0) else $2::bigint end) as s (start)
), filled (queue) as (
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
    (select min(release) from later where later.queue = filled.queue and release >= (select start from clock) and release <= $1) as release
  from filled
  where queue is not null
) as due
where release is not null;
