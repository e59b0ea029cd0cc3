-- Writes jobs, which are in job, as abandoned.
-- $1 when to delete each or 0, $2 failures to add, $3 errors or '', $4 jobs
insert into abandoned (job, queue, prune_at, pushed, tries, root_key, root_time, headers, params, failures, expiries, error)
select j.id, j.queue, nullif(t.prune_at, 0), j.pushed, j.tries, j.root_key, j.root_time, j.headers, j.params,
  j.failures + t.failures, j.expiries, coalesce(nullif(t.error, ''), j.error)
from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[]) as t (prune_at, failures, error, id)
join job j on j.id = t.id;
