-- Stores a hold, unless there is one of that id or was.
-- ?1 id, ?2 label, ?3 domain, ?4 type, ?5 now, ?6 how many jobs, ?7 they
insert into hold (id, label, domain, type, since, count, jobs)
values (?1, ?2, ?3, ?4, ?5, ?6, ?7)
on conflict (id) do nothing;
