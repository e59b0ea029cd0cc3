-- Forgets how earlier attempts ended.
-- $1 new positions, $2 jobs
update job j
set
  failures = 0,
  expiries = 0,
  position = t.position
from unnest($1::bigint[], $2::bigint[]) as t (position, id)
where j.id = t.id;
