-- Returns the delayed jobs of queues that are due. Nobody else gets them.
-- $1 queues, $2 now, $3 how many of each at most, $4 from which time on, or less than 0 for the one that is known
select
  l.job,
  l.release
from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) as t (queue, now, most, start)
cross join lateral (
  select job, release
  from later
  where queue = t.queue
    and release >= (select case when t.now < s.start then 0 else s.start end from (select case when t.start < 0 then coalesce((select position from reached where queue = 0), 0) else t.start end) as s (start))
    and release <= t.now
  order by release
  limit t.most
  for update skip locked
) as l;
