-- Returns until when the rate of a key is booked, for each row of arguments.
-- ?1 key
select
  key,
  booked
from rate
where key = ?1;
