-- Counts the delayed jobs of queues: all, those that are due, and since when the oldest is.
-- ?1 queues, ?2 now
select
  queue,
  count(*),
  sum(release <= ?2),
  min(release)
from later
where queue in (select value from json_each(?1))
group by queue;
