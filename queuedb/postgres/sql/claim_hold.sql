-- Keeps the claims of jobs as they are until the transaction ends, and returns what they hold.
-- They are locked in the order of their tokens.
-- $1 jobs
with claims as materialized (
  select held
  from claim
  where expires is not null
    and held && $1::bigint[]
  order by token
  for update
)
select unnest(held)
from claims;
