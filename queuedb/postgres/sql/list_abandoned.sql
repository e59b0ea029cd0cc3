-- Returns the ids of abandoned jobs in order.
-- $1 only those after, $2 queues or null, $3 how many at most
select job
from abandoned
where job > $1
  and ($2::bigint[] is null or queue = any($2::bigint[]))
order by job
limit $3;
