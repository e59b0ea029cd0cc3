-- Books the rates of keys.
-- $1 keys, $2 until when
insert into rate (key, booked)
select key, booked
from unnest($1::text[], $2::bigint[]) as t (key, booked)
on conflict (key) do update
set booked = excluded.booked;
