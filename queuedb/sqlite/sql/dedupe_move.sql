-- Gives a digest to another job, for each row of arguments, and returns what was given.
-- ?1 queue, ?2 digest, ?3 job, ?4 the job that has it
update dedupe
set job = ?3
where queue = ?1
  and digest = ?2
  and job = ?4
returning queue, digest;
