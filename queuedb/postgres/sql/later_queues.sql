-- Returns each queue of the delayed jobs that have been due for longest, since when, and how many of them it has.
-- $1 now, $2 how many jobs at most, $3 from which time on, or less than 0 for the one that is known
select
  queue,
  min(release),
  count(*)
from (
  select queue, release
  from later
  where release >= (select case when $1 < s.start then 0 else s.start end from (select case when $3::bigint < 0 then coalesce((select position from reached where queue = 0), 0) else $3::bigint end) as s (start))
    and release <= $1
  order by release
  limit $2
) as due
group by queue;
