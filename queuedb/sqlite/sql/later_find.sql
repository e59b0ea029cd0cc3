-- Returns the delayed jobs of a queue that are ready next in order, with the sizes of their parameters.
-- ?1 queue, ?2 how many at most
select
  l.job,
  octet_length(j.params)
from later l
join job j on j.id = l.job
where l.queue = ?1
order by l.release, l.job
limit ?2;
