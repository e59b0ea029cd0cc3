-- Stores jobs that say nothing but what they are.
-- $1 ids, $2 queues, $3 now, $4 parameters
insert into job (id, queue, pushed, params)
select id, queue, pushed, params
from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[]) as t (id, queue, pushed, params);
