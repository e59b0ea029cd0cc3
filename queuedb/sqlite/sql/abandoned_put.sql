-- Writes a job, which is in job, as abandoned, for each row of arguments.
-- ?1 when to delete it or 0, ?2 failures to add, ?3 error or '', ?4 job
insert into abandoned (job, queue, prune_at, pushed, tries, root_key, root_time, headers, params, failures, expiries, error)
select id, queue, nullif(?1, 0), pushed, tries, root_key, root_time, headers, params, failures + ?2, expiries, ifnull(nullif(?3, ''), error)
from job
where id = ?4;
