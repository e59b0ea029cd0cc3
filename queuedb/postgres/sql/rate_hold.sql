-- Keeps the rates of keys as they are until the transaction ends, whether there are any or not.
-- $1 keys
select pg_advisory_xact_lock(lock)
from (
  select distinct hashtextextended('jobqueue rate ' || current_schema() || ' ' || key, 0) as lock
  from unnest($1::text[]) as key
  order by lock
) as locks;
