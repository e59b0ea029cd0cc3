-- Forgets root marks.
-- $1 those that last moved before, $2 how many at most
with old as materialized (
  select queue, key
  from root
  where moved < $1
  order by moved
  limit $2
  for update skip locked
)
delete from root r
using old
where r.queue = old.queue
  and r.key = old.key;
