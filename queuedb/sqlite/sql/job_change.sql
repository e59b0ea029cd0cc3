-- Notes how an attempt ended, for each row of arguments.
-- ?1 failures to add, ?2 expiries to add, ?3 error or '', ?4 new position or 0, ?5 job
update job
set
  failures = failures + ?1,
  expiries = expiries + ?2,
  error = ifnull(nullif(?3, ''), error),
  position = ifnull(nullif(?4, 0), position)
where id = ?5;
