-- Returns a hold: its queue, its jobs, whether it has ended, and how many jobs it has released and dropped.
-- ?1 id
select
  domain,
  type,
  jobs,
  ended is not null,
  stored,
  dropped
from hold
where id = ?1;
