-- Returns the answer to a push.
-- $1 id
select answer
from push
where id = $1;
