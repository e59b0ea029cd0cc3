-- Gives up the digests of jobs.
-- ?1 jobs
delete from dedupe
where (queue, digest) in (
    select queue, digest
    from job
    where id in (select value from json_each(?1))
      and digest is not null
  )
  and job in (select value from json_each(?1));
