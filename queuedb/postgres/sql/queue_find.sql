-- Returns the numbers of queues.
-- $1 domains, $2 types
select
  q.id,
  q.domain,
  q.type
from unnest($1::text[], $2::text[]) as t (domain, type)
join queue q on q.domain = t.domain collate "C" and q.type = t.type collate "C";
