-- Gives a new lease to the claims that had none since the store was away and have less than half of theirs left. Claims are locked in the order of their tokens.
-- $1 now, $2 how long ago the last sweep was
update claim
set
  expires = $1 + ttl,
  graced = true
where token = any(array(
    select token
    from claim
    where expires is not null
      and not graced
      and ttl < 2 * $2::bigint
      and 2 * (expires - $1) < ttl
    order by token
    for update
  ))
  and expires is not null
  and not graced
  and ttl < 2 * $2::bigint
  and 2 * (expires - $1) < ttl;
