-- Opens a claim.
-- $1 token, $2 owner, $3 ttl, $4 expires, $5 jobs
insert into claim (token, owner, ttl, expires, held)
values ($1, $2, $3, $4, $5);
