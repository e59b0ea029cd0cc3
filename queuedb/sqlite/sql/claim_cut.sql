-- Cuts leases that end too far ahead.
-- ?1 now
update claim
set expires = ?1 + ttl
where expires is not null
  and expires - 2 * ttl > ?1;
