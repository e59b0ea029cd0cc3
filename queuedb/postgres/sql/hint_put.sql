-- Adds entries of the aggregator, or gives those that are there a new version and, if it is not that of now, a time since
-- when. They are locked in their order.
-- $1 types, $2 domains, $3 since when, $4 now
insert into hint (type, domain, version, since)
select type, domain, nextval('value_version'), min(since)
from unnest($1::text[], $2::text[], $3::bigint[]) as t (type, domain, since)
group by type, domain
order by type collate "C", domain collate "C"
on conflict (type, domain) do update
set
  version = excluded.version,
  since = case when excluded.since < $4 then excluded.since else hint.since end;
