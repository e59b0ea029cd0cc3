-- Ends a hold.
-- ?1 id, ?2 now, ?3 how many jobs it has released, ?4 how many it has dropped
update hold
set
  jobs = '',
  ended = ?2,
  stored = ?3,
  dropped = ?4
where id = ?1
  and ended is null;
