-- Deletes jobs, for each row of arguments: a range of ids.
-- ?1 the first, ?2 the last
delete from job
where id between ?1 and ?2;
