-- Returns the number of a queue, new or not, for each row of arguments.
-- ?1 domain, ?2 type
insert into queue (domain, type)
values (?1, ?2)
on conflict (domain, type) do update set type = excluded.type
returning id, domain, type;
