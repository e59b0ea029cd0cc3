-- Abandons jobs.
-- $1 when to delete each or 0, $2 jobs
insert into abandoned (job, queue, prune_at)
select j.id, j.queue, nullif(t.prune_at, 0)
from unnest($1::bigint[], $2::bigint[]) as t (prune_at, id)
join job j on j.id = t.id;
