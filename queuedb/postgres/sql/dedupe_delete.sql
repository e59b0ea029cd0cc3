-- Gives up the digests of jobs.
-- $1 jobs
delete from dedupe d
using job j
where j.id = any($1::bigint[])
  and d.queue = j.queue
  and d.digest = j.digest
  and d.job = j.id;
