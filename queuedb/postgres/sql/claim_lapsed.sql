-- Returns claims whose lease has ended. Nobody else gets them.
-- $1 now, $2 how many at most
select
  token,
  held,
  settled
from claim
where expires <= $1
order by expires
limit $2
for update skip locked;
