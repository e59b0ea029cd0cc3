-- Delays jobs.
-- $1 releases, $2 jobs
insert into later (job, queue, release)
select j.id, j.queue, t.release
from unnest($1::bigint[], $2::bigint[]) as t (release, id)
join job j on j.id = t.id
on conflict (job) do update set release = excluded.release;
