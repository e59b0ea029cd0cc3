-- Delays a job, for each row of arguments.
-- ?1 release, ?2 job
insert into later (job, queue, release)
select id, queue, ?1
from job
where id = ?2
on conflict (job) do update set release = excluded.release;
