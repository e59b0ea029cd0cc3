-- Makes ready delayed jobs of any queue that are due, those first that have been for longest, and returns them, when they
-- were due, and the time; a row without a job if there are none.
-- $1 the time if the clock is stopped or 0, $2 what to add to it, $3 how many at most, up to 1000,
-- $4 from which time on, or less than 0 for the one that is known
with clock as materialized (
  select coalesce(nullif($1::bigint, 0), (extract(epoch from clock_timestamp()) * 1000000)::bigint) + $2::bigint as now
), span as materialized (
  select now, case when now < s.start then 0 else s.start end as start
  from clock
  cross join (select case when $4::bigint < 0 then coalesce((select position from reached where queue = 0), 0) else $4::bigint end) as s (start)
), due as materialized (
  select l.job, l.release
  from span
  cross join meta
  cross join lateral (
    select job, release
    from later
    where release between start and now
    order by release
    limit $3::bigint
    for update skip locked
  ) as l
  where oldest <= 4
), gone as (
  delete from later
  where job = any(array(select job from due))
), block as materialized (
  select nextval('number') as first
  where exists (select 1 from due)
), placed as (
  update job j
  set position = t.position
  from (
    select job, release, (select first from block) + row_number() over (order by release, job) - 1 as position
    from due
  ) as t
  where j.id = t.job
  returning j.id, j.queue, j.position, t.release
), readied as (
  insert into ready (queue, position, job, since)
  select queue, position, id, release
  from placed
  returning job, since
)
select coalesce(job, 0), coalesce(since, 0), now
from span
left join readied on true;
