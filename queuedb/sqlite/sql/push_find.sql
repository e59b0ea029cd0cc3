-- Returns the answer to a push, for each row of arguments.
-- ?1 id
select id, answer
from push
where id = ?1;
