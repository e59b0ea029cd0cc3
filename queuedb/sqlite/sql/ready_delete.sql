-- Takes jobs out of the ready ones.
-- ?1 jobs
delete from ready
where (queue, position) in (
    select queue, ifnull(position, id)
    from job
    where id in (select value from json_each(?1))
  )
  and job in (select value from json_each(?1));
