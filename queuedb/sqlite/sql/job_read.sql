-- Returns jobs in the order of their ids, for each row of arguments: a range of ids. What most jobs have not comes packed in one column, as reading
-- a column costs more than anything else here: tries, digest, root key, root time, the mark of the root,
-- headers, failures, expiries, error.
-- ?1 the first, ?2 the last
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
    else json_array(
      tries,
      hex(digest),
      root_key,
      root_time,
      (select time from root where root.queue = job.queue and root.key = job.root_key),
      headers,
      failures,
      expiries,
      error
    )
  end
from job
where id between ?1 and ?2
order by id;
