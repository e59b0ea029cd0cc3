-- Deletes the entries of the aggregator that still have the version that was seen.
-- $1 types, $2 domains, $3 versions
delete from hint h
using unnest($1::text[], $2::text[], $3::bigint[]) as t (type, domain, version)
where h.type = t.type collate "C" and h.domain = t.domain collate "C" and h.version = t.version;
