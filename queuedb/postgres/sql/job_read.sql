-- Returns jobs in the order of their ids. What most jobs have not comes packed in one column: tries, digest,
-- root key, root time, the mark of the root, headers, failures, expiries, error.
-- $1 jobs
select
  id,
  queue,
  pushed,
  params,
  case
    when tries is null
      and digest is null
      and root_key is null
      and headers is null
      and position is null
      and failures = 0
      and expiries = 0
      and error is null
    then null
    else json_build_array(
      tries,
      encode(digest, 'hex'),
      root_key,
      root_time,
      (select time from root where root.queue = job.queue and root.key = job.root_key),
      headers,
      failures,
      expiries,
      error
    )::text
  end
from job
where id = any($1::bigint[])
order by id;
