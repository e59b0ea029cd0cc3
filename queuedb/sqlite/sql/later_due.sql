-- Returns the delayed jobs of a queue that are due, for each row of arguments.
-- ?1 queue, ?2 now, ?3 how many at most
select
  job,
  release
from later
where queue = ?1
  and release <= ?2
order by release
limit ?3;
