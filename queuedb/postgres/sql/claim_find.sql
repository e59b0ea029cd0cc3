-- Returns claims, which stay as they are until the transaction ends. They are locked in the order of their tokens.
-- $1 tokens
select
  token,
  coalesce(expires, 0),
  held,
  settled
from claim
where token = any($1::bytea[])
order by token
for update;
