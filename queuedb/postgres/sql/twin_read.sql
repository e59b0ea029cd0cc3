-- Returns what waiting jobs may take over from their duplicates; release is 0 for a ready one.
-- Jobs that do not wait any more are left out.
-- $1 jobs
select
  j.id,
  coalesce(l.release, 0),
  coalesce(j.root_key, ''),
  coalesce(j.root_time, 0)
from job j
join dedupe d on d.queue = j.queue and d.digest = j.digest and d.job = j.id
left join later l on l.job = j.id
where j.id = any($1::bigint[]);
