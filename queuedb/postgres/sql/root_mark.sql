-- Moves root marks forward. They are locked in their order.
-- $1 queues, $2 keys, $3 times, $4 now
insert into root (queue, key, time, moved)
select queue, key, time, moved
from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[]) as t (queue, key, time, moved)
order by queue, key collate "C"
on conflict (queue, key) do update
set
  time = excluded.time,
  moved = excluded.moved
where excluded.time > root.time;
