-- Returns the ids of jobs in order.
-- $1 only those after, $2 queues or null, $3 how many at most
(
  select id
  from job
  where id > $1
    and ($2::bigint[] is null or queue = any($2::bigint[]))
  order by id
  limit $3
)
union all
(
  select job
  from abandoned
  where job > $1
    and ($2::bigint[] is null or queue = any($2::bigint[]))
  order by job
  limit $3
)
order by 1
limit $3;
