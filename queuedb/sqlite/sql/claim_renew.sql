-- Gives a new lease to the claims that had none since the store was away and have less than half of theirs left.
-- ?1 now, ?2 how long ago the last sweep was
update claim
set
  expires = ?1 + ttl,
  graced = 1
where expires is not null
  and graced = 0
  and ttl < 2 * ?2
  and 2 * (expires - ?1) < ttl;
