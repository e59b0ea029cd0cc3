-- Returns the ids of claimed jobs in order.
-- ?1 only those after, ?2 queues or null, ?3 how many at most
select j.id
from claim c
cross join json_each(iif(json_valid(c.held), c.held, '[]')) h
cross join job j on j.id = h.value
where c.expires is not null
  and j.id > ?1
  and (?2 is null or j.queue in (select value from json_each(?2)))
order by j.id
limit ?3;
