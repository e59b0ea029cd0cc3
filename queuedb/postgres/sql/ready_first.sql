-- Returns queues and since when they have a ready job.
-- $1 queues, $2 now
select
  t.queue,
  f.since
from unnest($1::bigint[], $2::bigint[]) as t (queue, now)
cross join lateral (
  (
    select since
    from ready
    where queue = t.queue
    order by position
    limit 1
  )
  union all
  (
    select release
    from later
    where queue = t.queue
      and release <= t.now
    order by release
    limit 1
  )
) as f;
