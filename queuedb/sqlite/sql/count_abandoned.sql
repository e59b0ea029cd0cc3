-- Counts the abandoned jobs of queues.
-- ?1 queues
select
  queue,
  count(*)
from abandoned
where queue in (select value from json_each(?1))
group by queue;
