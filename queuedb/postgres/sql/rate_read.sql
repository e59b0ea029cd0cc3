-- Returns until when the rates of keys are booked.
-- $1 keys
select
  key,
  booked
from rate
where key = any($1::text[]);
