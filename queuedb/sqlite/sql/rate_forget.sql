-- Forgets bookings.
-- ?1 those that end before, ?2 how many at most
delete from rate
where key in (
  select key
  from rate
  where booked < ?1
  order by booked
  limit ?2
);
