-- Forgets bookings.
-- $1 those that end before, $2 how many at most
delete from rate
where key = any(array(
    select key
    from rate
    where booked < $1
    order by booked
    limit $2
    for update skip locked
  ));
