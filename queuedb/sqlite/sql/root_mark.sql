-- Moves a root mark forward, for each row of arguments.
-- ?1 queue, ?2 key, ?3 time, ?4 now
insert into root (queue, key, time, moved)
values (?1, ?2, ?3, ?4)
on conflict (queue, key) do update
set
  time = excluded.time,
  moved = excluded.moved
where excluded.time > root.time;
