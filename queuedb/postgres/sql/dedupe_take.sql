-- Takes digests, and returns the job that holds each. One that is given up meanwhile may be returned
-- twice, then it is taken; one that is taken by another transaction meanwhile is not returned.
-- $1 queues, $2 digests, $3 jobs
with taken as (
  insert into dedupe (queue, digest, job)
  select queue, digest, job
  from unnest($1::bigint[], $2::bytea[], $3::bigint[]) as t (queue, digest, job)
  order by queue, digest
  on conflict (queue, digest) do nothing
  returning queue, digest, job
)
select queue, digest, job
from taken
union all
select d.queue, d.digest, d.job
from unnest($1::bigint[], $2::bytea[]) as t (queue, digest)
join dedupe d on d.queue = t.queue and d.digest = t.digest;
