-- Format 2: an abandoned job is in abandoned with all that it has, and no more in job, whose tree
-- claims look into. Programs that know format 1 alone go on: what they abandon the trigger moves. They count and
-- prune the abandoned jobs, and do not see them otherwise. The format that drops the trigger needs programs that know this one.

alter table abandoned add column pushed integer;
alter table abandoned add column tries integer;
alter table abandoned add column root_key text;
alter table abandoned add column root_time integer;
alter table abandoned add column headers text;
alter table abandoned add column params blob;
alter table abandoned add column failures integer not null default 0;
alter table abandoned add column expiries integer not null default 0;
alter table abandoned add column error text;

update abandoned
set
  pushed = j.pushed,
  tries = j.tries,
  root_key = j.root_key,
  root_time = j.root_time,
  headers = j.headers,
  params = j.params,
  failures = j.failures,
  expiries = j.expiries,
  error = j.error
from job j
where j.id = abandoned.job;

delete from job
where id in (select job from abandoned);

-- Only damage leaves an abandoned job without a row in job.
delete from abandoned
where params is null;

create trigger abandoned_move
after insert on abandoned
when new.params is null
begin
  update abandoned
  set
    pushed = j.pushed,
    tries = j.tries,
    root_key = j.root_key,
    root_time = j.root_time,
    headers = j.headers,
    params = j.params,
    failures = j.failures,
    expiries = j.expiries,
    error = j.error
  from job j
  where abandoned.job = new.job
    and j.id = new.job;
  delete from job
  where id = new.job;
end;

drop view jobs;

create view jobs as
select
  j.id,
  q.domain,
  q.type,
  case
    when r.job is not null then 'ready'
    when l.job is not null then 'delayed'
    else 'claimed'
  end as state,
  cast(j.params as text) as params,
  strftime('%Y-%m-%dT%H:%M:%fZ', j.pushed / 1e6, 'unixepoch') as pushed,
  strftime('%Y-%m-%dT%H:%M:%fZ', l.release / 1e6, 'unixepoch') as release,
  null as prune_at,
  j.failures,
  j.expiries,
  j.error,
  j.root_key as root,
  j.headers
from job j
join queue q on q.id = j.queue
left join ready r on r.queue = j.queue and r.position = ifnull(j.position, j.id) and r.job = j.id
left join later l on l.job = j.id
union all
select
  a.job,
  q.domain,
  q.type,
  'abandoned',
  cast(a.params as text),
  strftime('%Y-%m-%dT%H:%M:%fZ', a.pushed / 1e6, 'unixepoch'),
  null,
  strftime('%Y-%m-%dT%H:%M:%fZ', a.prune_at / 1e6, 'unixepoch'),
  a.failures,
  a.expiries,
  a.error,
  a.root_key,
  a.headers
from abandoned a
join queue q on q.id = a.queue;
