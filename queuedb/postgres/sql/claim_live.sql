-- Returns every live claim, and whether the next sweep ends it.
-- $1 now
select
  token,
  owner,
  expires,
  expires <= $1 and (graced or $1 - (select swept from sweep) <= ttl / 2),
  held,
  settled
from claim
where expires is not null;
