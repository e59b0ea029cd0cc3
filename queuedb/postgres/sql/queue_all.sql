-- Returns every queue there has ever been.
select
  id,
  domain,
  type
from queue
order by domain, type;
