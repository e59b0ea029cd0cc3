-- Returns a root mark, for each row of arguments.
-- ?1 queue, ?2 key
select
  queue,
  key,
  time
from root
where queue = ?1
  and key = ?2;
