-- Hands out numbers for jobs and positions, and returns the last of them.
-- ?1 how many
update meta
set last = last + ?1
returning last;
