-- Returns when the last sweep was, and whether there is a live claim; nothing while another sweep is under way.
select
  swept,
  exists (select 1 from claim where expires is not null)
from sweep
for update of sweep skip locked;
