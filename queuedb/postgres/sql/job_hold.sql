-- Keeps jobs as they are until the transaction ends.
-- $1 jobs
select 1
from job
where id = any($1::bigint[])
order by id
for update;
