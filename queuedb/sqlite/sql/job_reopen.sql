-- Writes an abandoned job as others are, with no failures and no expiries, for each row of arguments.
-- ?1 new position, ?2 job
insert into job (id, queue, pushed, tries, root_key, root_time, headers, params, position, error)
select job, queue, pushed, tries, root_key, root_time, headers, params, ?1, error
from abandoned
where job = ?2;
