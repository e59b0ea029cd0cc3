-- Claims the oldest ready jobs of queues and returns them as job_read does, by queue and in order. Nobody else gets them.
-- It does nothing while a sweep is due, delayed jobs are due and have not been seen to, the tables need a newer program, or
-- it would be short though it may not, or though a lease has ended or delayed jobs are due.
-- If there is nothing to claim it returns a row without a job.
-- $1 token, $2 owner, $3 ttl, $4 distinct queues, $5 how many of each at most, $6 the position of each to begin behind or
-- less than 0 for the one that is known, $7 how many in all at most, $8 the time if the clock is stopped or 0, $9 what to
-- add to it, $10 whether it may be short, $11 whether delayed jobs have been seen to; spans before these positions to look
-- at first: $12 the number of the queue in $4, $13 queues, $14 first, $15 last positions, $16 how many of each at most; $17
-- from which time on to look for delayed jobs, or less than 0 for the one that is known
with clock as materialized (
  select coalesce(nullif($8::bigint, 0), (extract(epoch from clock_timestamp()) * 1000000)::bigint) + $9::bigint as now
), span as materialized (
  select now, case when now < s.start then 0 else s.start end as start
  from clock
  cross join (select case when $17::bigint < 0 then coalesce((select position from reached where queue = 0), 0) else $17::bigint end) as s (start)
), due as materialized (
  select now, start
  from span, sweep, meta
  where oldest <= 4
    and ($11::boolean or not exists (select 1 from later where release between start and now))
    and swept between now - 1000000 and now
), wanted as materialized (
  select
    t.queue,
    t.most,
    case when t.after < 0 then coalesce((select position from reached where queue = t.queue), 0) else t.after end as after,
    t.place
  from due
  cross join unnest($4::bigint[], $5::bigint[], $6::bigint[]) with ordinality as t (queue, most, after, place)
), before as materialized (
  select t.place, t.queue, r.position, r.job, r.ctid as tuple
  from due
  cross join unnest($12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[]) as t (place, queue, first, last, most)
  cross join lateral (
    select position, job, ctid
    from ready
    where queue = t.queue
      and position between t.first and t.last
    order by position
    limit t.most
    for update skip locked
  ) as r
), picked as materialized (
  select place, position, job, tuple
  from before
  union all
  select t.place, r.position, r.job, r.ctid
  from wanted t
  cross join lateral (
    select position, job, ctid
    from ready
    where queue = t.queue
      and position > t.after
    order by position
    limit t.most - (select count(*) from before where before.queue = t.queue)
    for update skip locked
  ) as r
), agreed as materialized (
  select now
  from due
  where (select count(*) from picked) = $7::bigint
    or $10::boolean
    and not exists (select 1 from claim where token = $1)
    and not exists (select 1 from claim where expires <= now)
    and not exists (select 1 from later where release between start and now)
), gone as (
  delete from ready
  where ctid = any(array(select tuple from picked, agreed))
), claimed as (
  insert into claim (token, owner, ttl, expires, held)
  select $1, $2, $3, now + $3, jobs
  from agreed, (select array_agg(job order by place, position) as jobs from picked) as p
  where jobs is not null
), undigested as (
  delete from dedupe d
  using job j
  where j.id = any(array(select job from picked, agreed))
    and d.queue = j.queue
    and d.digest = j.digest
    and d.job = j.id
)
select
  j.id,
  j.queue,
  j.pushed,
  j.params,
  case
    when j.tries is null
      and j.digest is null
      and j.root_key is null
      and j.headers is null
      and j.position is null
      and j.failures = 0
      and j.expiries = 0
      and j.error is null
    then null
    else json_build_array(
      j.tries,
      encode(j.digest, 'hex'),
      j.root_key,
      j.root_time,
      (select time from root where root.queue = j.queue and root.key = j.root_key),
      j.headers,
      j.failures,
      j.expiries,
      j.error
    )::text
  end,
  p.position
from agreed
left join picked p on true
left join lateral (select * from job where id = p.job offset 0) as j on true
order by p.place, p.position;
