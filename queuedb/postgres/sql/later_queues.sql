-- Returns each queue of the delayed jobs that have been due for longest, since when, and how many of them it has.
-- $1 now, $2 how many jobs at most
select
  queue,
  min(release),
  count(*)
from (
  select queue, release
  from later
  where release <= $1
  order by release
  limit $2
) as due
group by queue;
