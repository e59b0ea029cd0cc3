-- Returns the answers to pushes.
-- $1 ids
select id, answer
from push
where id = any($1::bytea[]);
