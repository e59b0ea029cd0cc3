-- Gives digests to other jobs, if those that have them are gone, and returns which are given.
-- $1 queues, $2 digests, $3 jobs, $4 the jobs that have them
update dedupe d
set job = t.job
from unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[]) as t (queue, digest, job, holder)
where d.queue = t.queue
  and d.digest = t.digest
  and d.job = t.holder
  and not exists (select 1 from job where id = t.holder)
returning d.queue, d.digest;
