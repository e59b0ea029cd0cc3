-- Stores a value.
-- $1 key, $2 data, $3 version, $4 now, $5 expires or null
insert into value (key, data, version, set_at, expires)
values ($1, $2, $3, $4, $5)
on conflict (key) do update
set
  data = excluded.data,
  version = excluded.version,
  set_at = excluded.set_at,
  expires = excluded.expires;
