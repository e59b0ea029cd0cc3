-- Takes the oldest ready jobs out of queues and returns them, by queue and in order. Nobody else gets them.
-- $1 queues, $2 how many of each at most, $3 the position of each to begin behind or
-- less than 0 for the one that is known
with wanted as materialized (
  select
    t.queue,
    t.most,
    case when t.after < 0 then coalesce((select position from reached where queue = t.queue), 0) else t.after end as after,
    t.place
  from unnest($1::bigint[], $2::bigint[], $3::bigint[]) with ordinality as t (queue, most, after, place)
), picked as materialized (
  select t.place, t.queue, r.position, r.job, r.ctid as tuple
  from wanted t
  cross join lateral (
    select position, job, ctid
    from ready
    where queue = t.queue
      and position > t.after
    order by position
    limit t.most
    for update skip locked
  ) as r
), gone as (
  delete from ready
  where ctid = any(array(select tuple from picked))
)
select queue, position, job
from picked
order by place, position;
