-- Notes how far queues have been claimed.
-- $1 queues, $2 positions
insert into reached (queue, position)
select queue, position
from unnest($1::bigint[], $2::bigint[]) as t (queue, position)
order by queue
on conflict (queue) do update set position = excluded.position
where excluded.position > reached.position;
