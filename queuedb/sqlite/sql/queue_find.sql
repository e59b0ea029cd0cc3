-- Returns the number of a queue, for each row of arguments.
-- ?1 domain, ?2 type
select
  id,
  domain,
  type
from queue
where domain = ?1
  and type = ?2;
