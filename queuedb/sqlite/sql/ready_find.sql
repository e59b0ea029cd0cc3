-- Returns the oldest ready jobs of a queue in order, with the sizes of their parameters.
-- ?1 queue, ?2 how many at most
select
  r.job,
  octet_length(j.params)
from ready r
join job j on j.id = r.job
where r.queue = ?1
order by r.position
limit ?2;
