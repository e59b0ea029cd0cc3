-- Returns the ids of jobs in order, but for those of abandoned ones.
-- ?1 only those after, ?2 queues or null, ?3 how many at most
select id
from job
where id > ?1
  and (?2 is null or queue in (select value from json_each(?2)))
order by id
limit ?3;
