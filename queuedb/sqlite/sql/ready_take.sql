-- Returns the oldest ready jobs of a queue in order, for each row of arguments. Nobody else gets them.
-- ?1 queue, ?2 how many at most
select
  queue,
  position,
  job
from ready
where queue = ?1
order by position
limit ?2;
