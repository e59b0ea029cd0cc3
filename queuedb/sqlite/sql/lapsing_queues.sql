-- Returns each queue of claims that the next sweep ends, and since when.
-- ?1 now
select
  j.queue,
  min(c.expires)
from claim c
cross join json_each(iif(json_valid(c.held), c.held, '[]')) h
cross join job j on j.id = h.value
where c.expires <= ?1
  and (c.graced or ?1 - (select swept from meta) <= c.ttl / 2)
group by j.queue;
