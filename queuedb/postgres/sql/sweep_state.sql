-- Returns when the last sweep was, and whether there is a live claim.
select
  swept,
  exists (select 1 from claim where expires is not null)
from sweep;
