-- Gives a live claim a new lease, for each row of arguments, and returns its token.
-- ?1 token, ?2 ttl, ?3 expires
update claim
set
  ttl = ?2,
  expires = ?3,
  graced = 0
where token = ?1
  and expires is not null
returning token;
