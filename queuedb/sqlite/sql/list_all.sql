-- Returns the ids of jobs in order.
-- ?1 only those after, ?2 queues or null, ?3 how many at most
select id
from (
  select id
  from job
  where id > ?1
    and (?2 is null or queue in (select value from json_each(?2)))
  order by id
  limit ?3
)
union all
select job
from (
  select job
  from abandoned
  where job > ?1
    and (?2 is null or queue in (select value from json_each(?2)))
  order by job
  limit ?3
)
order by 1
limit ?3;
