-- Deletes jobs that are abandoned.
-- ?1 jobs
delete from abandoned
where job in (select value from json_each(?1));
