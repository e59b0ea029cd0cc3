-- Keeps a hold as it is until the transaction ends.
-- $1 id
select 1::bigint
from hold
where id = $1
for update;
