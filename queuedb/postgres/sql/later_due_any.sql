-- Returns delayed jobs of any queue that are due. Nobody else gets them.
-- $1 now, $2 how many at most
select
  job,
  release
from later
where release <= $1
order by release
limit $2
for update skip locked;
