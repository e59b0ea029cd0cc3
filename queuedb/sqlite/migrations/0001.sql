-- Format 1.
-- All instants are microseconds since 1970, all durations microseconds.

-- meta is one row: the format, the oldest format a program must know to use
-- the file, the last number given to a job or a position, the last sweep, the
-- last version given to a value.
create table meta (
  format integer not null,
  oldest integer not null,
  last integer not null,
  swept integer not null,
  version integer not null
) strict;

insert into meta (format, oldest, last, swept, version)
values (1, 1, 0, 0, 0);

create table queue (
  id integer primary key,
  domain text not null,
  type text not null,
  unique (domain, type)
) strict;

-- job is written once and deleted once; what follows params changes only when
-- a job comes back. position is where it stands in ready, null meaning its id.
create table job (
  id integer primary key,
  queue integer not null,
  pushed integer not null,
  tries integer,
  digest blob,
  root_key text,
  root_time integer,
  headers text,
  params blob not null,
  failures integer not null default 0,
  expiries integer not null default 0,
  position integer,
  error text
) strict;

create table ready (
  queue integer not null,
  position integer not null,
  job integer not null,
  since integer not null,
  primary key (queue, position)
) strict, without rowid;

create table later (
  job integer primary key,
  queue integer not null,
  release integer not null
) strict;

create index later_release on later (release, queue);
create index later_queue on later (queue, release);

create table abandoned (
  job integer primary key,
  queue integer not null,
  prune_at integer
) strict;

create index abandoned_queue on abandoned (queue);
create index abandoned_prune_at on abandoned (prune_at) where prune_at is not null;

-- dedupe holds the digests of ready and delayed jobs.
create table dedupe (
  queue integer not null,
  digest blob not null,
  job integer not null,
  primary key (queue, digest)
) strict, without rowid;

-- claim is one row a Pop. held are the jobs it still holds and settled those it
-- settled, both packed as ranges. expires is null once it holds none, and
-- forget is when the row may go then.
create table claim (
  token blob not null primary key,
  owner text not null,
  ttl integer not null,
  expires integer,
  graced integer not null default 0,
  held blob not null,
  settled blob,
  forget integer
) strict, without rowid;

create index claim_expires on claim (expires) where expires is not null;
create index claim_ungraced on claim (ttl) where expires is not null and graced = 0;
create index claim_ahead on claim (expires - 2 * ttl) where expires is not null;
create index claim_forget on claim (forget) where expires is null;

create table root (
  queue integer not null,
  key text not null,
  time integer not null,
  moved integer not null,
  primary key (queue, key)
) strict, without rowid;

create index root_moved on root (moved);

create table push (
  id blob not null primary key,
  at integer not null,
  answer blob not null
) strict, without rowid;

create index push_at on push (at);

-- value is what is kept apart from all queues; expires null means never.
create table value (
  key text not null primary key,
  data blob not null,
  version integer not null,
  set_at integer not null,
  expires integer
) strict, without rowid;

create index value_expires on value (expires) where expires is not null;

-- rate says until when the rate of a key is booked, in nanoseconds since 1970.
create table rate (
  key text not null primary key,
  booked integer not null
) strict, without rowid;

create index rate_booked on rate (booked);

create view jobs as
select
  j.id,
  q.domain,
  q.type,
  case
    when r.job is not null then 'ready'
    when l.job is not null then 'delayed'
    when a.job is not null then 'abandoned'
    else 'claimed'
  end as state,
  cast(j.params as text) as params,
  strftime('%Y-%m-%dT%H:%M:%fZ', j.pushed / 1e6, 'unixepoch') as pushed,
  strftime('%Y-%m-%dT%H:%M:%fZ', l.release / 1e6, 'unixepoch') as release,
  strftime('%Y-%m-%dT%H:%M:%fZ', a.prune_at / 1e6, 'unixepoch') as prune_at,
  j.failures,
  j.expiries,
  j.error,
  j.root_key as root,
  j.headers
from job j
join queue q on q.id = j.queue
left join ready r on r.queue = j.queue and r.position = ifnull(j.position, j.id) and r.job = j.id
left join later l on l.job = j.id
left join abandoned a on a.job = j.id;
