-- Returns, per queue, how many jobs are claimed and ready after the next sweep (1) or not (0), and since when.
-- ?1 now
select
  j.queue,
  c.expires <= ?1 and (c.graced or ?1 - (select swept from meta) <= c.ttl / 2) as lapsed,
  count(*),
  min(c.expires)
from claim c
cross join json_each(iif(json_valid(c.held), c.held, '[]')) h
cross join job j on j.id = h.value
where c.expires is not null
group by 1, 2;
