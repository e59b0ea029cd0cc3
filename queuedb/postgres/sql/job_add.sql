-- Stores jobs.
-- $1 ids, $2 queues, $3 now, $4 tries or 0, $5 digests, $6 root keys or '', $7 root times, $8 headers or '', $9 parameters
insert into job (id, queue, pushed, tries, digest, root_key, root_time, headers, params)
select id, queue, pushed, nullif(tries, 0), digest, nullif(root_key, ''), nullif(root_time, 0), nullif(headers, ''), params
from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[], $6::text[], $7::bigint[], $8::text[], $9::bytea[])
  as t (id, queue, pushed, tries, digest, root_key, root_time, headers, params);
