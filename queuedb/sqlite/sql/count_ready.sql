-- Counts the ready jobs of queues: how many, and since when the oldest is.
-- ?1 queues
select
  queue,
  count(*),
  min(since)
from ready
where queue in (select value from json_each(?1))
group by queue;
