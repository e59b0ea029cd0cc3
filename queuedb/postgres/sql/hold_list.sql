-- Returns the holds, but for such as have ended, the oldest first.
select
  id,
  label,
  domain,
  type,
  since,
  count
from hold
where ended is null
order by since, id;
