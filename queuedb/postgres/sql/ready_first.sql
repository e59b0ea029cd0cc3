-- Returns queues and since when they have a ready job.
-- $1 queues, $2 now, $3 the position of each to look behind, or less than 0 for the one that is known, $4 from which
-- time on to look for delayed jobs, the same
select
  t.queue,
  f.since
from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) as t (queue, now, after, start)
cross join lateral (
  (
    select since
    from ready
    where queue = t.queue
      and position > case when t.after < 0 then coalesce((select position from reached where queue = t.queue), 0) else t.after end
    order by position
    limit 1
  )
  union all
  (
    select release
    from later
    where queue = t.queue
      and release >= (select case when t.now < s.start then 0 else s.start end from (select case when t.start < 0 then coalesce((select position from reached where queue = 0), 0) else t.start end) as s (start))
      and release <= t.now
    order by release
    limit 1
  )
) as f;
