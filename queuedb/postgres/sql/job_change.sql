-- Notes how attempts ended.
-- $1 failures to add, $2 expiries to add, $3 errors or '', $4 new positions or 0, $5 jobs
update job j
set
  failures = j.failures + t.failures,
  expiries = j.expiries + t.expiries,
  error = coalesce(nullif(t.error, ''), j.error),
  position = coalesce(nullif(t.position, 0), j.position)
from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[]) as t (failures, expiries, error, position, id)
where j.id = t.id;
