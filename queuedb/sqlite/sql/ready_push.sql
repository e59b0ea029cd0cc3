-- Makes new jobs ready, for each row of arguments: a range of ids.
-- ?1 the first, ?2 the last
insert into ready (queue, position, job, since)
select queue, id, id, pushed
from job
where id between ?1 and ?2;
