-- Makes new jobs ready.
-- $1 jobs, $2 queues, $3 since when
insert into ready (queue, position, job, since)
select queue, job, job, since
from unnest($1::bigint[], $2::bigint[], $3::bigint[]) as t (job, queue, since);
