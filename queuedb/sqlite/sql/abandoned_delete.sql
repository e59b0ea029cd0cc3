-- Takes jobs out of the abandoned ones.
-- ?1 jobs
delete from abandoned
where job in (select value from json_each(?1));
