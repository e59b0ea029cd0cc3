-- Changes the root of a job, for each row of arguments.
-- ?1 key or '', ?2 time or 0, ?3 job
update job
set
  root_key = nullif(?1, ''),
  root_time = nullif(?2, 0)
where id = ?3;
