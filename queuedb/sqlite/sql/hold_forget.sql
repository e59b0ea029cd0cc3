-- Forgets holds that have ended.
-- ?1 those before, ?2 how many at most
delete from hold
where id in (
  select id
  from hold
  where ended < ?1
  order by ended
  limit ?2
);
