-- Makes jobs ready at the positions they have.
-- $1 since, $2 jobs
insert into ready (queue, position, job, since)
select j.queue, coalesce(j.position, j.id), j.id, t.since
from unnest($1::bigint[], $2::bigint[]) as t (since, id)
join job j on j.id = t.id;
