-- Returns abandoned jobs as job_read does, for each row of arguments: a range of ids.
-- ?1 the first, ?2 the last
select
  job,
  queue,
  pushed,
  params,
  json_array(tries, null, root_key, root_time, null, headers, failures, expiries, error)
from abandoned
where job between ?1 and ?2
order by job;
