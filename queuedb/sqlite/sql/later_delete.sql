-- Takes jobs out of the delayed ones.
-- ?1 jobs
delete from later
where job in (select value from json_each(?1));
