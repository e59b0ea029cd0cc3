-- Returns each queue with delayed jobs that are due, and since when.
-- ?1 now
select
  queue,
  min(release)
from later indexed by later_release
where release <= ?1
group by queue;
