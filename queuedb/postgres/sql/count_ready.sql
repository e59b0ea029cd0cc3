-- Counts the ready jobs of queues: how many, and since when the oldest is.
-- $1 queues
select
  queue,
  count(*),
  min(since)
from ready
where queue = any($1::bigint[])
group by queue;
