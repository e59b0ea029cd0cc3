-- Keeps jobs that are ready, delayed or abandoned where they are until the transaction ends, and returns which
-- these are. They are locked in the order of their ids.
-- $1 jobs, $2 whether to look at abandoned ones too
with waits as materialized (
  select job
  from later
  where job = any($1::bigint[])
  order by job
  for update
), rests as materialized (
  select job
  from abandoned
  where $2::boolean
    and job = any($1::bigint[])
  order by job
  for update
), wanted as materialized (
  select id, queue, coalesce(position, id) as position
  from job
  where id = any($1::bigint[])
  order by id
), stands as materialized (
  select r.job
  from wanted w
  cross join lateral (
    select job
    from ready
    where queue = w.queue
      and position = w.position
      and job = w.id
    for update
  ) as r
)
select job from waits
union all
select job from rests
union all
select job from stands;
