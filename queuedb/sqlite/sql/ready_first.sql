-- Returns a queue and since when it has a ready job, for each row of arguments.
-- ?1 queue, ?2 now
select
  queue,
  since
from (
  select queue, since
  from ready
  where queue = ?1
  order by position
  limit 1
)
union all
select
  queue,
  release
from (
  select queue, release
  from later
  where queue = ?1
    and release <= ?2
  order by release
  limit 1
);
