-- Stores the answers to pushes.
-- $1 ids, $2 now, $3 answers
insert into push (id, at, answer)
select id, at, answer
from unnest($1::bytea[], $2::bigint[], $3::bytea[]) as t (id, at, answer);
