-- Ends a claim that holds nothing any more.
-- $1 token, $2 jobs settled, $3 when to forget it
update claim
set
  expires = null,
  held = '{}',
  settled = $2,
  forget = $3
where token = $1;
