-- Makes a job ready at the position it has, for each row of arguments.
-- ?1 since, ?2 job
insert into ready (queue, position, job, since)
select queue, ifnull(position, id), id, ?1
from job
where id = ?2;
