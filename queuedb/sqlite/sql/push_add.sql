-- Stores the answer to a push, for each row of arguments.
-- ?1 id, ?2 now, ?3 answer
insert into push (id, at, answer)
values (?1, ?2, ?3);
