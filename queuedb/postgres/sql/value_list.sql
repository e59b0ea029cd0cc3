-- Returns the values whose keys lie in a range, in the order of the keys.
-- $1 first key, $2 the keys before this one or null for no end, $3 now
select
  key,
  data,
  version,
  set_at,
  coalesce(expires, 0)
from value
where key >= $1
  and ($2::text is null or key < $2)
  and (expires is null or expires > $3)
order by key;
