-- Returns root marks.
-- $1 queues, $2 keys
select
  r.queue,
  r.key,
  r.time
from unnest($1::bigint[], $2::text[]) as t (queue, key)
join root r on r.queue = t.queue and r.key = t.key collate "C";
