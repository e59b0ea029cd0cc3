-- Returns queues by number.
-- $1 numbers
select
  id,
  domain,
  type
from queue
where id = any($1::bigint[]);
