-- Cuts leases that end too far ahead. Claims are locked in the order of their tokens.
-- $1 now
update claim
set expires = $1 + ttl
where token = any(array(
    select token
    from claim
    where expires is not null
      and expires - 2 * ttl > $1
    order by token
    for update
  ))
  and expires is not null
  and expires - 2 * ttl > $1;
