-- Forgets values.
-- $1 those whose time is over by then, $2 how many at most
delete from value
where key = any(array(
    select key
    from value
    where expires <= $1
    order by expires
    limit $2
    for update skip locked
  ));
