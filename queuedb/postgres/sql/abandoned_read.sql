-- Returns abandoned jobs as job_read does.
-- $1 jobs
select
  job,
  queue,
  pushed,
  params,
  json_build_array(tries, null, root_key, root_time, null, headers, failures, expiries, error)::text
from abandoned
where job = any($1::bigint[])
order by job;
