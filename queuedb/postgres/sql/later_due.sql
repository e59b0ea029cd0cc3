-- Returns the delayed jobs of queues that are due. Nobody else gets them.
-- $1 queues, $2 now, $3 how many of each at most
select
  l.job,
  l.release
from unnest($1::bigint[], $2::bigint[], $3::bigint[]) as t (queue, now, most)
cross join lateral (
  select job, release
  from later
  where queue = t.queue
    and release <= t.now
  order by release
  limit t.most
  for update skip locked
) as l;
