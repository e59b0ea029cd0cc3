-- Returns the delayed jobs of a queue that are ready next in order, with the sizes of their parameters.
-- $1 queue, $2 how many at most
select
  l.job,
  j.size
from (
  select job, release
  from later
  where queue = $1
  order by release, job
  limit $2
) as l
cross join lateral (
  select octet_length(params)::bigint as size
  from job
  where id = l.job
) as j
order by l.release, l.job;
