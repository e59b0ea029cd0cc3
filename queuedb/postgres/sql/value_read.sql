-- Returns a value.
-- $1 key, $2 now
select
  key,
  data,
  version,
  set_at,
  coalesce(expires, 0)
from value
where key = $1
  and (expires is null or expires > $2);
