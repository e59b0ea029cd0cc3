-- Format 2: an abandoned job is in abandoned with all that it has, and no more in job, whose index
-- claims look into. Programs that know format 1 alone go on: what they abandon the trigger moves. They count and
-- prune the abandoned jobs, and do not see them otherwise. The format that drops the trigger needs programs that know this one.

alter table abandoned
  add column pushed bigint,
  add column tries bigint,
  add column root_key text collate "C",
  add column root_time bigint,
  add column headers text,
  add column params bytea,
  add column failures bigint not null default 0,
  add column expiries bigint not null default 0,
  add column error text;

with moved as (
  delete from job j
  using abandoned a
  where j.id = a.job
  returning j.id, j.pushed, j.tries, j.root_key, j.root_time, j.headers, j.params, j.failures, j.expiries, j.error
)
update abandoned a
set
  pushed = m.pushed,
  tries = m.tries,
  root_key = m.root_key,
  root_time = m.root_time,
  headers = m.headers,
  params = m.params,
  failures = m.failures,
  expiries = m.expiries,
  error = m.error
from moved m
where a.job = m.id;

-- Only damage leaves an abandoned job without a row in job.
delete from abandoned
where params is null;

create function abandoned_move() returns trigger
language plpgsql
set search_path from current
as $$
begin
  delete from job
  where id = new.job
  returning pushed, tries, root_key, root_time, headers, params, failures, expiries, error
  into new.pushed, new.tries, new.root_key, new.root_time, new.headers, new.params, new.failures, new.expiries, new.error;
  return new;
end
$$;

create trigger abandoned_move
before insert on abandoned
for each row
when (new.params is null)
execute function abandoned_move();

create or replace view jobs as
select
  j.id,
  q.domain,
  q.type,
  case
    when r.job is not null then 'ready'
    when l.job is not null then 'delayed'
    else 'claimed'
  end as state,
  convert_from(j.params, 'UTF8') as params,
  to_timestamp(j.pushed / 1e6) as pushed,
  to_timestamp(l.release / 1e6) as release,
  null::timestamptz as prune_at,
  j.failures,
  j.expiries,
  j.error,
  j.root_key as root,
  j.headers
from job j
join queue q on q.id = j.queue
left join ready r on r.queue = j.queue and r.position = coalesce(j.position, j.id) and r.job = j.id
left join later l on l.job = j.id
union all
select
  a.job,
  q.domain,
  q.type,
  'abandoned',
  convert_from(a.params, 'UTF8'),
  to_timestamp(a.pushed / 1e6),
  null,
  to_timestamp(a.prune_at / 1e6),
  a.failures,
  a.expiries,
  a.error,
  a.root_key,
  a.headers
from abandoned a
join queue q on q.id = a.queue;
