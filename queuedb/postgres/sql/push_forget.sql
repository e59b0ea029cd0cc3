-- Forgets push ids.
-- $1 those before, $2 how many at most
delete from push
where id = any(array(
    select id
    from push
    where at < $1
    order by at
    limit $2
    for update skip locked
  ));
