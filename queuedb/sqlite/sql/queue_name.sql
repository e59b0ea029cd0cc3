-- Returns queues by number.
-- ?1 numbers
select
  id,
  domain,
  type
from queue
where id in (select value from json_each(?1));
