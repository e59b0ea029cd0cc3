-- Gives a digest to another job, for each row of arguments.
-- ?1 queue, ?2 digest, ?3 job
update dedupe
set job = ?3
where queue = ?1
  and digest = ?2;
