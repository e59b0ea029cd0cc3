-- Writes what a live claim still holds.
-- $1 token, $2 jobs held, $3 jobs settled
update claim
set
  held = $2,
  settled = $3
where token = $1;
