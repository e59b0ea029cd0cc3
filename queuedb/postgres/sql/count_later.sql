-- Counts the delayed jobs of queues: all, those that are due, and since when the oldest is.
-- $1 queues, $2 now
select
  queue,
  count(*),
  count(*) filter (where release <= $2),
  min(release)
from later
where queue = any($1::bigint[])
group by queue;
