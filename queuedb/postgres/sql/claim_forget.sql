-- Forgets ended claims.
-- $1 now, $2 how many at most
delete from claim
where token = any(array(
    select token
    from claim
    where expires is null
      and forget <= $1
    order by forget
    limit $2
    for update skip locked
  ));
