-- Takes a digest and returns the job that holds it, new or not, for each row of arguments.
-- ?1 queue, ?2 digest, ?3 job
insert into dedupe (queue, digest, job)
values (?1, ?2, ?3)
on conflict (queue, digest) do update set job = job
returning queue, digest, job;
