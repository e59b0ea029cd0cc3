-- Returns the oldest ready jobs of a queue in order, with the sizes of their parameters.
-- $1 queue, $2 how many at most
select
  r.job,
  j.size
from (
  select job, position
  from ready
  where queue = $1
  order by position
  limit $2
) as r
cross join lateral (
  select octet_length(params)::bigint as size
  from job
  where id = r.job
) as j
order by r.position;
