-- Forgets root marks.
-- ?1 those that last moved before, ?2 how many at most
delete from root
where (queue, key) in (
  select queue, key
  from root
  where moved < ?1
  order by moved
  limit ?2
);
