-- Returns where jobs stand, in the order of their ids: 0 for what is not so. A job that is nowhere is claimed.
-- $1 jobs, $2 whether to look at abandoned ones too
select
  j.id,
  j.queue,
  coalesce(r.since, 0),
  coalesce(l.release, 0),
  false,
  0::bigint,
  d.job is not null
from job j
left join ready r on r.queue = j.queue and r.position = coalesce(j.position, j.id) and r.job = j.id
left join later l on l.job = j.id
left join dedupe d on d.queue = j.queue and d.digest = j.digest and d.job = j.id
where j.id = any($1::bigint[])
union all
select
  job,
  queue,
  0,
  0,
  true,
  coalesce(prune_at, 0),
  false
from abandoned
where $2::boolean
  and job = any($1::bigint[])
order by 1;
