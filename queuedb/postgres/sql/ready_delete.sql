-- Takes jobs out of the ready ones.
-- $1 jobs
delete from ready r
using job j
where j.id = any($1::bigint[])
  and r.queue = j.queue
  and r.position = coalesce(j.position, j.id)
  and r.job = j.id;
