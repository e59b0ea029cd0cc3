-- Counts the abandoned jobs of queues.
-- $1 queues
select
  queue,
  count(*)
from abandoned
where queue = any($1::bigint[])
group by queue;
