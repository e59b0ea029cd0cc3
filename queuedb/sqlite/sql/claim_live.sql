-- Returns every live claim, and 1 if the next sweep ends it.
-- ?1 now
select
  token,
  owner,
  expires,
  expires <= ?1 and (graced or ?1 - (select swept from meta) <= ttl / 2),
  held,
  settled
from claim
where expires is not null;
