-- Forgets how earlier attempts ended, for each row of arguments.
-- ?1 new position, ?2 job
update job
set
  failures = 0,
  expiries = 0,
  position = ?1
where id = ?2;
