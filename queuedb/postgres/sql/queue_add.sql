-- Returns the numbers of queues, new or not. They are locked in the order of their names.
-- $1 domains, $2 types
insert into queue (domain, type)
select domain, type
from unnest($1::text[], $2::text[]) as t (domain, type)
order by domain collate "C", type collate "C"
on conflict (domain, type) do update set type = excluded.type
returning id, domain, type;
