-- Abandons a job, for each row of arguments.
-- ?1 when to delete it or 0, ?2 job
insert into abandoned (job, queue, prune_at)
select id, queue, nullif(?1, 0)
from job
where id = ?2;
