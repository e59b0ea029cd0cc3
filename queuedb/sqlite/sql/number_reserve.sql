-- Hands out numbers for jobs and positions, and returns the first of them and how many.
-- ?1 how many
update meta
set last = last + ?1
returning last - ?1 + 1, ?1;
