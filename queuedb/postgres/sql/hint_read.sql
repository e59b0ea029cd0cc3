-- Reads the entries of some types.
-- $1 types
select h.type, h.domain, h.version, h.since
from unnest($1::text[]) as t (type)
cross join lateral (select * from hint where hint.type = t.type collate "C" offset 0) h;
