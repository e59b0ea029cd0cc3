-- Returns where jobs stand, in the order of their ids: 0 for what is not so. A job that is nowhere is claimed.
-- ?1 jobs, ?2 whether to look at abandoned ones too
select
  j.id,
  j.queue,
  ifnull(r.since, 0),
  ifnull(l.release, 0),
  0,
  0,
  d.job is not null
from job j
left join ready r on r.queue = j.queue and r.position = ifnull(j.position, j.id) and r.job = j.id
left join later l on l.job = j.id
left join dedupe d on d.queue = j.queue and d.digest = j.digest and d.job = j.id
where j.id in (select value from json_each(?1))
union all
select
  job,
  queue,
  0,
  0,
  1,
  ifnull(prune_at, 0),
  0
from abandoned
where ?2
  and job in (select value from json_each(?1))
order by 1;
