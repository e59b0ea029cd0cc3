-- Returns abandoned jobs whose time is over. Nobody else gets them.
-- $1 now, $2 how many at most
select job
from abandoned
where prune_at <= $1
order by prune_at
limit $2
for update skip locked;
