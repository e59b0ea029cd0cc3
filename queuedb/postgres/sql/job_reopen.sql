-- Writes abandoned jobs as others are, with no failures and no expiries.
-- $1 new positions, $2 jobs
insert into job (id, queue, pushed, tries, root_key, root_time, headers, params, position, error)
select a.job, a.queue, a.pushed, a.tries, a.root_key, a.root_time, a.headers, a.params, t.position, a.error
from unnest($1::bigint[], $2::bigint[]) as t (position, id)
join abandoned a on a.job = t.id;
