-- Books the rate of a key, for each row of arguments.
-- ?1 key, ?2 until when
insert into rate (key, booked)
values (?1, ?2)
on conflict (key) do update
set booked = excluded.booked;
