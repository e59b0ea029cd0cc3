-- Returns claims that the next sweep ends: since when they may be, and what they hold.
-- $1 now
select
  expires,
  held
from claim
where expires <= $1
  and (graced or $1 - (select swept from sweep) <= ttl / 2);
