-- Returns one claim, for each row of arguments.
-- ?1 token
select
  token,
  ifnull(expires, 0),
  held,
  settled
from claim
where token = ?1;
