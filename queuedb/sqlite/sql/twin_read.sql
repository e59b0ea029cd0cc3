-- Returns what a waiting job may take over from its duplicates; release is 0 for a ready one.
-- ?1 jobs
select
  j.id,
  ifnull(l.release, 0),
  ifnull(j.root_key, ''),
  ifnull(j.root_time, 0)
from job j
left join later l on l.job = j.id
where j.id in (select value from json_each(?1));
