-- Gives live claims a new lease, and returns their tokens. Claims are locked in the order of these.
-- $1 tokens, $2 ttl of each, $3 when each expires
with alive as materialized (
  select token
  from claim
  where token = any($1::bytea[])
    and expires is not null
  order by token
  for update
)
update claim c
set
  ttl = t.ttl,
  expires = t.expires,
  graced = false
from unnest($1::bytea[], $2::bigint[], $3::bigint[]) as t (token, ttl, expires)
where c.token = t.token
  and t.token in (select token from alive)
returning c.token;
