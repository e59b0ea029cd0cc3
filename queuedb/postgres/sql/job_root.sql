-- Changes the roots of jobs. Those that are ready get new rows there, so that no
-- claim that began before gets them with their old roots.
-- $1 keys or '', $2 times or 0, $3 jobs
with changed as (
  update job j
  set
    root_key = nullif(t.key, ''),
    root_time = nullif(t.time, 0)
  from unnest($1::text[], $2::bigint[], $3::bigint[]) as t (key, time, id)
  where j.id = t.id
  returning j.id, j.queue, coalesce(j.position, j.id) as position
), moved as (
  delete from ready r
  using changed c
  where r.queue = c.queue
    and r.position = c.position
    and r.job = c.id
  returning r.queue, r.position, r.job, r.since
)
insert into ready (queue, position, job, since)
select queue, position, job, since
from moved;
