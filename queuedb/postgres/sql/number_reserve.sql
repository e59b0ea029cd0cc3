-- Hands out numbers for jobs and positions, and returns blocks of them that grow: the first and how many.
-- $1 how many
select
  nextval('number'),
  least(1000, $1::bigint - 1000 * (block - 1))
from generate_series(1, ($1::bigint + 999) / 1000) as block;
