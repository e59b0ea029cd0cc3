-- Takes the oldest ready jobs of a queue, for each row of arguments.
-- ?1 queue, ?2 how many at most
delete from ready
where queue = ?1
  and position <= ifnull(
    (
      select position
      from ready
      where queue = ?1
      order by position
      limit 1 offset ?2 - 1
    ),
    9223372036854775807
  )
returning queue, position, job;
