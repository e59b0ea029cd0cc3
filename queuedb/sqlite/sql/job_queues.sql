-- Counts jobs by queue, for each row of arguments: a range of ids.
-- ?1 the first, ?2 the last
select
  queue,
  count(*)
from job
where id between ?1 and ?2
group by queue;
