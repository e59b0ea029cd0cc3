-- Deletes what ready_take returned, for each row of arguments. (Where ready_take deletes, this does nothing.)
-- ?1 queue, ?2 the last position that was returned
delete from ready
where queue = ?1
  and position <= ?2;
