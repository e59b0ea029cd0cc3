-- Keeps root marks as they are for all who call this, until the transaction ends, whether there are any or not.
-- $1 queues, $2 keys
select pg_advisory_xact_lock(lock)
from (
  select distinct hashtextextended('jobqueue root ' || current_schema() || ' ' || key, queue) as lock
  from unnest($1::bigint[], $2::text[]) as t (queue, key)
  order by lock
) as locks;
